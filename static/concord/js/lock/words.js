// One sentence on how a lock stands. Pure.
import { duration } from "../format.js";

const some = (count, one, many) => (count === 1 ? one : `${count} ${many}`);

function holds(row, now) {
  const [first] = row.holders;
  const since = first?.since_ms ? ` for ${duration(now - first.since_ms)}` : "";
  if (row.kind === "barrier") return `${some(row.holding, "One was", "were")} let go together`;
  if (row.kind === "election") return `${first.owner} leads${since}`;
  if (first.mode === "permit") return `${row.holding} of ${first.limit} permits are taken`;
  if (first.mode === "shared") return `${some(row.holding, `${first.owner} shares it with nobody yet`, "share it")}`;
  return `${first.owner} holds it${since}`;
}

function waits(row, now) {
  if (row.waiting === 0) return "nobody waits";
  const [first] = row.waiters;
  if (first?.mode === "party") return `${row.waiting} of ${first.limit} have come`;
  const longest = first?.since_ms ? `, the first for ${duration(now - first.since_ms)}` : "";
  return `${some(row.waiting, "one waits", "wait")}${longest}`;
}

// [icon, hue, sentence, what follows from it]
export function sentence(row, state, now) {
  const queue = waits(row, now);
  const asked = row.holders.find((holder) => holder.revoked_ms !== null && holder.revoked_ms !== undefined);
  switch (state) {
    case "disputed": return ["bad", "bad", row.disputed, "Somebody has to look at what it guards; the dispute stays until it is acknowledged."];
    case "unknown": return ["unknown", "unknown", "Nobody here knows how it stands.", row.gap ? "Events of it were lost; it is right again once it was seen whole." : "The server is silent: what stands here was true a while ago."];
    case "free": return ["unlock", "idle", `Nobody holds it; ${queue}.`, ""];
    case "ran_out": return ["clock", row.waiting ? "wait" : "idle", `Its lease ran out; ${queue}.`, row.holding ? "The next who asks gets it. Whoever had it may still believe that it holds: only its token tells." : ""];
    case "handed": return ["arrow", "busy", `Handed to ${row.owner}, which has not said yet that it lives; ${queue}.`, ""];
    case "ending": return ["clock", "wait", `${holds(row, now)}, and its lease is not being renewed; ${queue}.`, asked ? `It was asked back${asked.revoke_reason ? `: ${asked.revoke_reason}` : ""}.` : ""];
  }
  const follows = asked ? `It was asked back${asked.revoke_reason ? `: ${asked.revoke_reason}` : ""}. ${asked.revoked_ms > now ? `It is renewed for ${duration(asked.revoked_ms - now)} more.` : "It is renewed no more."}` : "";
  return ["lock", "busy", `${holds(row, now)}; ${queue}.`, follows];
}
