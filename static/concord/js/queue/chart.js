// What came in and went out of a queue, and how many were ready, over the last minutes.
import { clock, figure } from "../format.js";
import { roundUp } from "../parts/chart.js";
import { html } from "../ui.js";
import { BUCKET_S } from "./parts.js";

const AT = 0, CAME = 1, ACKED = 2;

// Lines break where nothing is known.
function strokes(points) {
  let path = "", pen = false;
  for (const [x, y] of points) {
    path += y === null ? "" : `${pen ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`;
    pen = y !== null;
  }
  return path;
}

export function FlowChart({ buckets, width }) {
  const height = 172, left = 40, right = 8, top = 12, bottom = 24;
  const rate = (bucket, column) => (bucket[column] === null ? null : bucket[column] / BUCKET_S);
  const most = roundUp(Math.max(1, ...buckets.map((each) => Math.max(rate(each, CAME) ?? 0, rate(each, ACKED) ?? 0))));
  const x = (i) => left + (i * (width - left - right)) / Math.max(1, buckets.length - 1);
  const y = (value) => height - bottom - (value / most) * (height - top - bottom);
  const points = (column) => buckets.map((each, i) => [x(i), rate(each, column) === null ? null : y(rate(each, column))]);
  const out = buckets.map((each, i) => [x(i), y(rate(each, ACKED) ?? 0)]);
  const area = `${strokes(out)}L${x(buckets.length - 1)},${height - bottom}L${left},${height - bottom}Z`;
  const marks = width < 420 ? [0, 0.5, 1] : [0, 0.25, 0.5, 0.75, 1];
  const anchor = (part) => (part === 0 ? "start" : part === 1 ? "end" : "middle");
  return html`<svg class="chart flow" width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="img"
      aria-label=${`Messages in and out per second over the last ten minutes, at most ${most}`}>
    ${[0, 0.5, 1].map((part) => html`<line class="gl" x1=${left} x2=${width - right} y1=${y(most * part)} y2=${y(most * part)} />
      <text class="ax" x=${left - 6} y=${y(most * part) + 3.5} text-anchor="end">${figure(most * part)}</text>`)}
    ${marks.map((part) => {
      const i = Math.round(part * (buckets.length - 1));
      return html`<text class="ax" x=${x(i)} y=${height - 6} text-anchor=${anchor(part)}>${clock(buckets[i][AT], false)}</text>`;
    })}
    <path class="ar" d=${area} /><path class="ln" d=${strokes(points(ACKED))} /><path class="ln2" d=${strokes(points(CAME))} /></svg>`;
}

export const FlowKey = () => html`<span class="lg"><span><svg viewBox="0 0 18 10" aria-hidden="true"><line class="k1" x1="0" x2="18" y1="5" y2="5" /></svg>out</span>
  <span><svg viewBox="0 0 18 10" aria-hidden="true"><line class="k2" x1="0" x2="18" y1="5" y2="5" /></svg>in, per second</span></span>`;
