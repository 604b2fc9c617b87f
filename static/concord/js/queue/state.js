// A queue's state at a moment, as `queue_rows.py` decides it. Pure.
export function stateAt(row, now, limits) {
  if (row.disputed) return "disputed";
  if (row.seen === null || now - row.seen > limits.queue_silent_ms) return "unknown";
  if (row.publishing_paused || row.consuming_paused) return "paused";
  if (row.letters) return "letters";
  if (row.dead > 0) return "dead";
  if (row.oldest !== null && now - row.oldest > limits.backing_up_ms) return "backing_up";
  const lately = row.event !== null && now - row.event <= limits.queue_busy_ms;
  return row.ready > 0 || row.in_flight > 0 || lately ? "flowing" : "idle";
}
