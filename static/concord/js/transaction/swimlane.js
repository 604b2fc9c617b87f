// The swimlane drawn: lane names are HTML beside the picture, so they stay put while time scrolls.
import { html } from "../ui.js";
import { BAR, HEAD, LANE, middle } from "./layout.js";

const sprite = document.documentElement.dataset.icons;
const Mark = ({ name, hue, x, y, size = 12 }) =>
  html`<use class=${`ic ${hue}`} href=${`${sprite}#${name}`} x=${x} y=${y} width=${size} height=${size} />`;

function Bar({ bar }) {
  const y = middle(bar.lane) - BAR / 2;
  return html`<g><title>${bar.title}</title>
    <rect class=${`bar ${bar.hue}`} fill=${bar.hue === "unknown" ? "url(#hatch)" : undefined} x=${bar.x} y=${y} width=${bar.width} height=${BAR} rx="4" /></g>`;
}

// Above the folds, so that no label is cut.
function Label({ bar }) {
  const y = middle(bar.lane) - BAR / 2;
  return html`<g>${bar.icon && html`<${Mark} name=${bar.icon} hue=${bar.hue} x=${bar.textX + 4} y=${y + 4} />`}
    ${bar.text && html`<text class=${`bl ${bar.hue}`} x=${bar.textX + 20} y=${y + 13.8}>${bar.text}</text>`}</g>`;
}

function Arrow({ arrow }) {
  const { x1, y1, x2, y2, kind, title, label, labelX, labelY } = arrow;
  const lost = kind === "lost";
  return html`<g><title>${title}</title>
    <line class=${`msg ${kind}`} x1=${x1} y1=${y1} x2=${x2} y2=${y2} marker-end=${lost ? undefined : "url(#head)"} />
    <circle class="src" cx=${x1} cy=${y1} r="1.8" />
    ${lost && html`<path class="x" d=${`M${x2 - 4} ${y2 - 4}l8 8m0-8l-8 8`} />`}
    ${label && html`<text class=${`halo ${lost ? "bad" : ""}`} x=${labelX} y=${labelY}>${label}</text>`}</g>`;
}

function Background({ picture }) {
  const { end, height, lanes, ticks, folds } = picture;
  return html`<g>
    ${lanes.map((_, i) => html`<line class="sep" x1="0" x2=${end} y1=${HEAD + i * LANE} y2=${HEAD + i * LANE} />`)}
    ${ticks.map((tick) => html`<line class="grid" x1=${tick.x} x2=${tick.x} y1=${HEAD} y2=${height} />`)}
    ${lanes.map((_, i) => html`<line class="life" x1="16" x2=${picture.edge} y1=${middle(i)} y2=${middle(i)} />`)}
  </g>`;
}

const Folds = ({ picture }) => picture.folds.map((fold) => html`<g><title>${`${fold.text} in which nothing was recorded`}</title>
  <rect class="gapw" x=${fold.x} y=${HEAD} width=${fold.width} height=${picture.height - HEAD} />
  <rect class="gapb" fill="url(#fold)" x=${fold.x} y=${HEAD} width=${fold.width} height=${picture.height - HEAD} />
  <rect class="gapw" x=${fold.x} y="2" width=${fold.width} height=${HEAD - 4} />
  <text class="tick" x=${fold.x + fold.width / 2} y="18" text-anchor="middle">${fold.text}</text></g>`);

const Defs = () => html`<defs>
  <pattern id="fold" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hl soft" x1="0" y1="0" x2="0" y2="6" /></pattern>
  <pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hl" x1="0" y1="0" x2="0" y2="5" /></pattern>
  <marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path class="head" d="M0 .8 7.5 4 0 7.2Z" /></marker></defs>`;

export function Swimlane({ picture }) {
  const { lanes, bars, arrows, ticks, end, height, decided, now } = picture;
  return html`<div class="dg"><div class="lanes" aria-hidden="true"><div class="h28"></div>
      ${lanes.map((lane) => html`<div class="h52"><b title=${lane.name}>${lane.name}</b><small>${lane.note}</small></div>`)}</div>
    <div class="scroll" tabindex="0" role="region" aria-label="Timeline of the transaction; the table of events below says the same">
      <svg class="sw" width=${end} height=${height} viewBox=${`0 0 ${end} ${height}`} aria-hidden="true"><${Defs} />
        <${Background} picture=${picture} />
        ${bars.map((bar) => html`<${Bar} bar=${bar} />`)}
        <${Folds} picture=${picture} />
        ${ticks.map((tick) => html`<text class="tick" x=${tick.x} y="18" text-anchor=${tick.anchor}>${tick.text}</text>`)}
        ${bars.map((bar) => html`<${Label} bar=${bar} />`)}
        ${decided && html`<line class=${`decide ${decided.committed ? "" : "ab"}`} x1=${decided.x} x2=${decided.x} y1=${HEAD} y2=${height} />`}
        ${arrows.map((arrow) => html`<${Arrow} arrow=${arrow} />`)}
        ${now !== null && html`<g><line class="now" x1=${now} x2=${now} y1="22" y2=${height} /><rect class="nowf" x=${now - 17} y="6" width="34" height="17" rx="4" /><text class="nowt" x=${now} y="18" text-anchor="middle">now</text></g>`}
      </svg></div></div>`;
}

export const Legend = () => html`<span class="lg hide">
  <span><svg viewBox="0 0 18 10" class="sw"><line class="msg" x1="0" y1="5" x2="17" y2="5" /></svg>delivered</span>
  <span><svg viewBox="0 0 18 10" class="sw"><line class="msg fly" x1="0" y1="5" x2="17" y2="5" /></svg>in flight</span>
  <span><svg viewBox="0 0 18 10" class="sw"><line class="msg lost" x1="0" y1="5" x2="10" y2="5" /><path class="x" d="M11 2l5 6m0-6l-5 6" /></svg>failed</span>
  <span><svg viewBox="0 0 18 10" class="sw"><line class="decide" x1="9" y1="-1" x2="9" y2="11" /></svg>decision durable</span></span>`;

