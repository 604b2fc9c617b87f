// Small pictures of numbers: a spark beside a figure, and rates over time. Laid out from the width.
import { html } from "../ui.js";
import { clock, figure } from "../format.js";

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");

export function Spark({ values, hue = "" }) {
  const width = 64, height = 20, top = Math.max(...values, 0.001);
  const x = (i) => (i * (width - 3)) / Math.max(1, values.length - 1);
  const points = values.map((value, i) => [x(i), height - 2 - (value / top) * (height - 4)]);
  const last = points.at(-1) ?? [0, height];
  return html`<svg class="spark" width=${width} viewBox=${`0 0 ${width} ${height}`} data-s=${hue} aria-hidden="true">
    <path class="a" d=${`${line(points)}L${last[0]},${height}L0,${height}Z`} /><path d=${line(points)} />
    <circle class="e" cx=${last[0]} cy=${last[1]} r="1.9" /></svg>`;
}

// A round number at or above `value`, for the top of an axis.
export function roundUp(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value);
}

// Rates: rows of [bucket ms, begun, committed, aborted, …], one each `seconds`.
export function Rates({ rates, width, seconds }) {
  const height = 172, left = 40, right = 8, top = 12, bottom = 24;
  const most = roundUp(Math.max(1, ...rates.map((rate) => (rate[2] + rate[3]) / seconds)));
  const x = (i) => left + (i * (width - left - right)) / Math.max(1, rates.length - 1);
  const y = (value) => height - bottom - (value / most) * (height - top - bottom);
  const committed = rates.map((rate, i) => [x(i), y(rate[2] / seconds)]);
  const aborted = rates.map((rate, i) => [x(i), y(rate[3] / seconds)]);
  const floor = height - bottom;
  const marks = width < 420 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  const anchor = (part) => (part === 0 ? "start" : part === 1 ? "end" : "middle");
  return html`<svg class="chart" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img"
      aria-label=${`Committed and aborted per second over the last five minutes, at most ${most}`}>
    ${[0, 0.5, 1].map((part) => html`<line class="gl" x1=${left} x2=${width - right} y1=${y(most * part)} y2=${y(most * part)} />
      <text class="ax" x=${left - 6} y=${y(most * part) + 3.5} text-anchor="end">${figure(most * part)}</text>`)}
    ${marks.map((part) => {
      const i = Math.round(part * (rates.length - 1));
      return html`<text class="ax" x=${x(i)} y=${height - 6} text-anchor=${anchor(part)}>${clock(rates[i][0], false)}</text>`;
    })}
    <path class="ar" d=${`${line(committed)}L${x(rates.length - 1)},${floor}L${left},${floor}Z`} />
    <path class="ln" d=${line(committed)} /><path class="ln2" d=${line(aborted)} /></svg>`;
}

// Calls `draw(width)` now and whenever the element's width changes.
export function follow(element, draw) {
  new ResizeObserver(([entry]) => draw(Math.floor(entry.contentRect.width))).observe(element);
}
