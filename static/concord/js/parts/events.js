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

// An event of a queue is of one or of many messages.
const many = (data) => { const count = data.ids?.length ?? data.count ?? 0; return `${count} message${count === 1 ? "" : "s"}`; };
const toward = (data) => (data.to ? ` to ${data.to}` : "");
const QUEUES = {
  "message.published": (data) => ["send", "", `${many(data)} published`],
  "message.taken": (data) => ["busy", "", `${many(data)} taken`],
  "message.extended": (data) => ["clock", "", `leases of ${many(data)} extended`],
  "message.acked": (data) => ["ok", "ok", `${many(data)} acked`],
  "message.retried": (data) => ["cycle", "wait", `${many(data)} failed, to be tried again`],
  "message.released": (data) => ["undo", "", `${many(data)} given back, not begun`],
  "message.lapsed": (data) => ["clock", "wait", `leases of ${many(data)} ran out`],
  "message.died": (data) => ["mail", "wait", `${many(data)} died`],
  "message.buried": (data) => ["mail", "wait", `${many(data)} came to the dead letters`],
  "message.expired": (data) => ["clock", "", `${many(data)} expired`],
  "message.refused": (data) => ["fence", "", `stale receipts of ${many(data)} refused`],
  "message.arrived": (data) => ["arrow", "", `${many(data)} moved here`],
  "message.redriven": (data) => ["undo", "busy", `${many(data)} given another chance by ${by(data)}${why(data)}`],
  "message.moved": (data) => ["arrow", "", `${many(data)} moved${toward(data)} by ${by(data)}${why(data)}`],
  "message.purged": (data) => ["x", "wait", `${many(data)} thrown away by ${by(data)}${why(data)}`],
  "queue.declared": () => ["plus", "", "declared"],
  "queue.paused": (data) => (Number(data.publishing) || Number(data.consuming)
    ? ["pause", "wait", `paused by ${by(data)}${why(data)}`] : ["play", "", `resumed by ${by(data)}${why(data)}`]),
};

const UNSAID = "its lease ran out";
const by = (data) => data.said?.actor ?? data.actor ?? "somebody";
const why = (data) => because(data.said?.reason ?? data.reason);

function counted(data, icon, what) {
  const amount = data.after - data.before;
  const many = data.count > 1 ? ` in ${data.count.toLocaleString("en-US")} changes` : "";
  const hand = data.actor ? ` by ${data.actor}${because(data.reason)}` : "";
  return [data.actor ? "user" : icon, data.actor ? "wait" : "", `${what} ${amount > 0 ? "+" : ""}${amount.toLocaleString("en-US")} to ${data.after.toLocaleString("en-US")}${many}${hand}`];
}

const elsewhere = ({ register }) => {
  if (!register || register === "database") return "";
  return `, decided by ${register === "paxos" ? "the quorum" : register}`;
};

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

  "counter.added": (data) => counted(data, "plus", "changed by"),
  "counter.set": (data) => counted(data, "reg", "set, a change of"),
  "counter.compare_and_set": (data) => counted(data, "check", "compared and set, a change of"),
  "counter.reset": (data) => counted(data, "undo", "reset, a change of"),
  "counter.resynced": () => ["counter", "", "told anew by its store"],

  ...QUEUES,
  "transaction.begun": (data) =>
    ["tx", "", `began; ${plural(data.of ?? data.branches?.length ?? 0, "branch")} durable${elsewhere(data)}`],
  "branch.sent": (data) => ["send", "", `sent ${VERBS[data.phase] ?? data.phase} again, try ${data.attempt}`],
  "branch.voted": voted,
  "branch.precommitted": () => ["check", "", "knows that every vote is yes"],
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
