// The lanes drawn: names are HTML beside the picture, so they stay put while time scrolls.
import { html } from "../ui.js";
import { HEAD, LANE, middle } from "./lanes.js";

const sprite = document.documentElement.dataset.icons;

const Bar = ({ bar }) => {
  const y = middle(bar.lane) - bar.height / 2;
  const room = bar.width > 22;
  return html`<g><title>${bar.title}</title>
    <rect class=${`bar ${bar.hue}`} x=${bar.x} y=${y} width=${bar.width} height=${bar.height} rx="4" />
    ${bar.icon && room && html`<use class=${`ic ${bar.hue}`} href=${`${sprite}#${bar.icon}`} x=${bar.x + 5} y=${y + 4} width="12" height="12" />`}
    ${bar.text && html`<text class=${`bl ${bar.hue}`} x=${bar.x + (bar.icon ? 21 : 8)} y=${y + 13.8}>${bar.text}</text>`}</g>`;
};

function Mark({ mark }) {
  const y = middle(mark.lane);
  return html`<g>${mark.icon && html`<g><title>${mark.title}</title><circle class="icbg" cx=${mark.at} cy=${y} r="9.5" /><use class="ic" href=${`${sprite}#${mark.icon}`} x=${mark.at - 7} y=${y - 7} width="14" height="14" /></g>`}
    ${mark.text && html`<text class=${`halo ${mark.hue}`} x=${mark.x} y=${y + 4} text-anchor=${mark.anchor}>${mark.text}</text>`}</g>`;
}

export function Lanes({ picture, name }) {
  const { lanes, bars, marks, ticks, now, width, height } = picture;
  return html`<div class="dg"><div class="lanes" aria-hidden="true"><div class="h28"></div>
      ${lanes.map((lane) => html`<div class="h44" key=${lane.name}><b title=${lane.name}>${lane.name}</b><small>${lane.note}</small></div>`)}</div>
    <div class="scroll" tabindex="0" role="region" aria-label=${`Holders of ${name} by token; the table of grants below says the same`}>
      <svg class="sw" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} aria-hidden="true">
        ${lanes.map((_, i) => html`<line class="sep" x1="0" x2=${width} y1=${HEAD + i * LANE} y2=${HEAD + i * LANE} />`)}
        ${ticks.map((tick) => html`<g><line class="grid" x1=${tick.x} x2=${tick.x} y1=${HEAD} y2=${height} /><text class="tick" x=${tick.x} y="18" text-anchor="middle">${tick.text}</text></g>`)}
        ${lanes.map((_, i) => html`<line class="life" x1="0" x2=${now} y1=${middle(i)} y2=${middle(i)} />`)}
        ${bars.map((bar) => html`<${Bar} key=${bar.key} bar=${bar} />`)}
        ${marks.map((mark) => html`<${Mark} key=${mark.key} mark=${mark} />`)}
        <line class="now" x1=${now} x2=${now} y1=${HEAD} y2=${height} />
      </svg></div></div>`;
}
