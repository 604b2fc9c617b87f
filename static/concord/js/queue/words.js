// One sentence on how a queue stands, and on a sweep of it. Pure.
import { duration, number } from "../format.js";

export const count = (n, one, many = `${one}s`) => (n === 1 ? `one ${one}` : `${number(n)} ${many}`);

function stands(row, now) {
  const parts = [row.ready ? `${number(row.ready)} ready` : "nothing is ready"];
  if (row.in_flight) parts.push(`${number(row.in_flight)} in flight`);
  if (row.delayed) parts.push(`${number(row.delayed)} delayed`);
  const age = row.oldest === null ? "" : `; the first has waited for ${duration(Math.max(0, now - row.oldest))}`;
  return parts.join(", ") + age;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

function paused(row) {
  if (!row.publishing_paused) return ["It gives out no messages: consuming is paused.", "What is published waits; what is taken may be settled."];
  if (!row.consuming_paused) return ["It takes no publications: publishing is paused.", "Publishers get QueuePaused; what is in it is still given out."];
  return ["It takes and gives nothing: it is paused.", "Publishers get QueuePaused; what is taken may be settled."];
}

// [icon, hue, sentence, what follows from it]
export function sentence(row, state, now) {
  const [icon, hue, lead, sub] = said(row, state, now);
  const alone = row.counts ? "" : `Store ${row.store} tells statistics alone: no rates, no takers, no balance.`;
  return [icon, hue, lead, `${sub} ${alone}`.trim()];
}

function said(row, state, now) {
  const how = `${capital(stands(row, now))}.`;
  switch (state) {
    case "disputed": return ["bad", "bad", row.disputed, "The dispute stays until somebody acknowledges it."];
    case "unknown": return row.seen === null
      ? ["unknown", "unknown", "Its store was not asked yet.", "What stands here is what events told; figures come with the first sample."]
      : ["unknown", "unknown", `Nobody has heard from its store for ${duration(now - row.seen)}.`, "What stands here was true then. Its store or the observer is silent."];
    case "paused": {
      const [lead, sub] = paused(row);
      return ["pause", "wait", lead, `${sub} ${how}`];
    }
    case "dead": return ["mail", "wait", `${capital(count(row.dead, "dead letter"))} ${row.dead === 1 ? "waits" : "wait"} for somebody.`, how];
    case "backing_up": return ["bar", "wait", `It is backing up: ${stands(row, now)}.`, "More comes in than goes out, or nobody takes."];
    case "letters": return ["mail", "idle", row.ready ? `It keeps ${count(row.ready, "dead letter")}.` : "It keeps no dead letters now.", "Nothing dies here: what fails stays, until somebody redrives, moves or purges it."];
    case "idle": return ["ended", "idle", "Nothing is in it.", ""];
  }
  return ["ok", "idle", how, ""];
}

const VERBS = { redrive: ["Redriving", "redriven"], purge: ["Purging", "purged"], move: ["Moving", "moved"] };

// [what it does, how far it has come]
export function sweepWords(sweep) {
  const [doing, done] = VERBS[sweep.verb] ?? [sweep.verb, "done"];
  const whither = sweep.to ? ` to ${sweep.to}` : "";
  return [`${doing}${whither}`, `${number(sweep.done)} of at most ${number(sweep.at_most)} ${done}`];
}
