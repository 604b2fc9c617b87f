// How a lock stands at a moment: the same rule as `lock_rows.py`, for a lease ends without a word.
// Pure.
export function stateAt(row, now, { ending_ms, ending_share }) {
  if (row.disputed) return "disputed";
  if (row.gap) return "unknown";
  if (!row.holding || row.until === null) return row.last_end === "expired" ? "ran_out" : "free";
  const left = row.until - now;
  if (left <= 0) return "ran_out";
  if (row.handed) return "handed";
  const soon = row.lease === null ? ending_ms : Math.min(ending_ms, row.lease * ending_share);
  return left < soon ? "ending" : "held";
}

// How many share it belongs to its word.
export function wordOf(row, state, word) {
  if (row.kind === "barrier" && state === "free" && row.waiting) return `${row.waiting} of ${row.limit} came`;
  if (state !== "held") return word;
  if (row.mode === "shared") return `${word}, shared ×${row.holding}`;
  return row.mode === "permit" ? `${word}, ${row.holding} of ${row.limit}` : word;
}
