// How a counter stands at a moment: the same rule as `counter_rows.py`. Pure.
export function stateAt(row, now, { counting_ms }) {
  if (row.disputed) return "disputed";
  if (row.gap) return "unknown";
  if (row.value === row.minimum || row.value === row.maximum) return "at_bound";
  return row.last !== null && now - row.changed < counting_ms ? "counting" : "still";
}

const BUCKET_S = 5;
export const BUCKETS = 60;

// Changes in each five seconds of the last five minutes, the oldest first; the running one is left
// out, since it is not over.
export function series(rates, now) {
  const end = Math.floor(now / 1000 / BUCKET_S) * BUCKET_S;
  const known = new Map(rates);
  return Array.from({ length: BUCKETS }, (_, i) => {
    const at = end - (BUCKETS - i) * BUCKET_S;
    return [at * 1000, (known.get(at) ?? 0) / BUCKET_S];
  });
}

// Changes a second over the last minute.
export function rateAt(rates, now) {
  const since = Math.floor((now - 60_000) / 1000);
  return rates.reduce((sum, [at, count]) => (at >= since ? sum + count : sum), 0) / 60;
}

// `from 0 to 100`, `from 0`, `to 100`; empty without any.
export function boundsOf({ minimum, maximum }, number) {
  if (minimum === null) return maximum === null ? "" : `to ${number(maximum)}`;
  return `from ${number(minimum)}${maximum === null ? "" : ` to ${number(maximum)}`}`;
}
