// One sentence on how a counter stands. Pure.
import { duration, figure, number, signed } from "../format.js";
import { rateAt } from "./state.js";

const DONE = {
  "counter.added": "changed it by",
  "counter.set": "set it, a change of",
  "counter.compare_and_set": "compared and set it, a change of",
  "counter.reset": "reset it, a change of",
};

function lately({ last, changed, rates }, now) {
  if (last === null) return "Nothing is known of its changes.";
  const who = last.actor || last.node || "Somebody";
  const rate = rateAt(rates, now);
  const pace = rate > 0 ? ` ${figure(rate)} changes a second over the last minute.` : "";
  return `${who} ${DONE[last.kind] ?? "changed it by"} ${signed(last.after - last.before)}, ${duration(now - changed)} ago.${pace}`;
}

// [icon, hue, sentence, what follows from it]
export function sentence(row, state, now) {
  const stands = `It stands at ${number(row.value)}.`;
  switch (state) {
    case "disputed": return ["bad", "bad", `${stands.slice(0, -1)}, and that is disputed.`, "Somebody has to look at what it counts; the dispute stays until it is acknowledged."];
    case "unknown": return ["unknown", "unknown", "Nobody here knows how it stands.", "Events of it were lost; the next change, or its store, tells."];
    case "at_bound": return ["bar", "wait", `${stands} That is its ${row.value === row.minimum ? "minimum" : "maximum"}: what would go beyond is refused.`, lately(row, now)];
    case "counting": return ["counter", "busy", stands, lately(row, now)];
  }
  return ["ended", "idle", stands, lately(row, now)];
}
