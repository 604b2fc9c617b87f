// A counter's state, and pictures of its rates.
import { clock, figure } from "../format.js";
import { shell } from "../boot.js";
import { roundUp } from "../parts/chart.js";
import { html, Icon } from "../ui.js";
import { BUCKETS } from "./state.js";

export function CounterState({ state, extra = "" }) {
  const [word, icon, hue] = shell.words.counters[state];
  return html`<span class=${`st ${extra}`.trim()} data-s=${hue}><${Icon} name=${icon} />${word}</span>`;
}

export function ChangeWord({ kind, count = 1 }) {
  const [word, icon] = shell.words.changes[kind] ?? [kind, "unknown"];
  return html`<span class="st" data-s="idle"><${Icon} name=${icon} />${word}${count > 1 && ` ×${count.toLocaleString("en-US")}`}</span>`;
}

// Changes a second in each five seconds, as bars.
export function RateChart({ bars, width }) {
  const height = 132, left = 40, right = 8, top = 12, bottom = 24;
  const highest = Math.max(...bars.map(([, rate]) => rate));
  const most = highest > 1 ? roundUp(highest) : 1;
  const step = (width - left - right) / BUCKETS;
  const floor = height - bottom;
  const y = (rate) => floor - (rate / most) * (floor - top);
  const marks = width < 420 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  const anchor = (part) => (part === 0 ? "start" : part === 1 ? "end" : "middle");
  return html`<svg class="chart counted" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img"
      aria-label=${`Changes per second over the last five minutes, at most ${figure(highest)}`}>
    ${[0, 0.5, 1].map((part) => html`<line class="gl" x1=${left} x2=${width - right} y1=${y(most * part)} y2=${y(most * part)} />
      <text class="ax" x=${left - 6} y=${y(most * part) + 3.5} text-anchor="end">${figure(most * part)}</text>`)}
    ${marks.map((part) => {
      const i = Math.round(part * (bars.length - 1));
      return html`<text class="ax" x=${left + i * step} y=${height - 6} text-anchor=${anchor(part)}>${clock(bars[i][0], false)}</text>`;
    })}
    ${bars.map(([at, rate], i) => rate > 0 && html`<rect key=${at} class="f-busy" x=${left + i * step + 0.5} width=${Math.max(1, step - 1.5)} y=${Math.min(y(rate), floor - 1.5)} height=${Math.max(1.5, floor - y(rate))} rx="1" />`)}</svg>`;
}
