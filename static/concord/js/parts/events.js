// What an event says, in words: icon, hue, text. Pure.
const VERBS = { prepare: "prepare", finish: "the outcome" };
const ENDED = {
  committed: ["ok", "ok", "applied commit"],
  aborted: ["ended", "", "rolled back"],
  read_only: ["ended", "", "had nothing to apply"],
  heuristic_commit: ["bolt", "bad", "was committed against the decision"],
  heuristic_rollback: ["bolt", "bad", "was rolled back against the decision"],
  heuristic_hazard: ["bolt", "bad", "ended in a way nobody can tell"],
};
const because = (reason) => (reason ? `: ${reason}` : "");
const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "es"}`;

function voted(data, using) {
  if (data.vote === "no") return ["x", "", `voted no${because(data.reason)}`];
  if (data.vote === "read_only") return ["check", "", "voted read only"];
  const how = data.actual === "committed" ? "yes and committed at once" : "yes, prepared";
  return ["check", "ok", `voted ${how}${using ? ` on ${using}` : ""}`];
}

const UNSAID = "its lease ran out";
const by = (data) => data.said?.actor ?? data.actor ?? "somebody";
const why = (data) => because(data.said?.reason ?? data.reason);

const TELL = {
  "lock.granted": (data) => ["lock", "", `granted to ${data.who?.owner || "its owner"}`],
  "lock.handed": (data) => ["arrow", "", `handed to ${data.who?.owner || "the next"}`],
  "lock.waiting": (data) => ["glass", "", `${data.who?.owner || "somebody"} waits`],
  "lock.renewed": () => ["clock", "", "renewed"],
  "lock.released": () => ["unlock", "", "released"],
  "lock.expired": () => ["clock", "wait", UNSAID],
  "lock.gave_up": () => ["ended", "", "a waiter left"],
  "lock.forced": (data) => ["bolt", "wait", `taken away by ${by(data)}${why(data)}`],
  "lock.revoke_asked": (data) => ["send", "wait", `asked back by ${by(data)}${why(data)}`],
  "lock.release_refused": () => ["fence", "", "a former holder was refused"],

  "transaction.begun": (data) =>
    ["tx", "", `began; ${plural(data.of ?? data.branches?.length ?? 0, "branch")} durable`],
  "branch.sent": (data) => ["send", "", `sent ${VERBS[data.phase] ?? data.phase} again, try ${data.attempt}`],
  "branch.voted": voted,
  "transaction.decided": (data) =>
    data.outcome === "committed"
      ? ["reg", "ok", `decided: commit${because(data.reason)}`]
      : ["reg", "", `decided: abort${because(data.reason)}`],
  "branch.delayed": (data) =>
    ["cut", "wait", `${VERBS[data.phase] ?? data.phase} failed${because(data.error)}`],
  "branch.finished": (data) => ENDED[data.actual] ?? ["unknown", "", String(data.actual)],
  "transaction.continued": () => ["arrow", "", "continuation queued"],
  "transaction.ended": (data) =>
    data.heuristic
      ? ["bolt", "bad", `ended ${data.outcome}, heuristic ${data.heuristic}`]
      : [data.outcome === "committed" ? "ok" : "ended", data.outcome === "committed" ? "ok" : "", `ended ${data.outcome}`],
  "transaction.resolved": (data) => ["user", "wait", `${data.action} by ${data.actor}${because(data.reason)}`],
};

export function tell(event, using = "") {
  const say = TELL[event.kind];
  return say ? say(event.data ?? {}, using) : ["unknown", "", event.kind];
}
