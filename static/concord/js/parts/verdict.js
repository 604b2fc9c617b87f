// A verdict judged by this page's clock: late evidence is none. Red stays red.
export function verdictAt(verdict, now) {
  if (verdict.state === "VIOLATED") return "VIOLATED";
  const late = verdict.at === null || now - verdict.at > 2 * verdict.period;
  return late ? "UNPROVEN" : verdict.state;
}

// What is left of its freshness, 1 just checked, 0 after two periods. A short period gets a floor,
// so that the line shows the checker's rhythm and not the tick of this page.
export function freshness(verdict, now) {
  if (verdict.at === null || !verdict.period) return 0;
  return Math.max(0, Math.min(1, 1 - (now - verdict.at) / (2 * verdict.period)));
}
