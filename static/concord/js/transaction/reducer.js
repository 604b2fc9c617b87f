// A transaction folded from its events: used live and for every step back in time. Pure.
// It follows `coordination/transactions/projection.py`; a test runs both over the same events.

const EMPTY = {
  version: 0, name: "", node: "", state: "voting", outcome: null, reason: "", heuristic: "",
  begun: null, deadline: null, decided: null, ended: null, branches: [],
};

export const fold = (events) => events.reduce(apply, EMPTY);

export function apply(tx, event) {
  const step = STEPS[event.kind];
  const after = step === undefined ? tx : step(tx, event.data, event.at);
  return { ...after, version: Math.max(tx.version, event.v) };
}

const change = (tx, seq, what) => {
  const known = tx.branches.some((branch) => branch.seq === seq);
  const branches = known ? tx.branches : [...tx.branches, blank({ seq })];
  return { ...tx, branches: branches.map((branch) => (branch.seq === seq ? { ...branch, ...what } : branch)) };
};
const branchOf = (tx, seq) => tx.branches.find((branch) => branch.seq === seq) ?? blank({ seq });

const blank = (given) => ({
  participant: "", node: "", using: "", mode: "", form: "", after: [], args: {}, vote: null, reason: "",
  actual: null, attempts: 0, voted: null, finished: null, phase: null, error: "", retry: null, ...given,
});

// Where its work is: a database that is known here, else a service or a node.
export const placeOf = (branch) => branch.using || (branch.mode === "http" ? "a service" : branch.node);

const inFavour = (branch) => branch.vote === "yes" || branch.vote === "read_only";
const hasEnded = (branch) => branch.actual !== null;

// Whether its turn has come: to vote, or to end as decided. As `asking.py` has it.
function due(tx, branch) {
  let before = tx.branches.filter((other) => branch.after.includes(other.seq));
  if (tx.outcome === null) {
    if (branch.form === "last") before = tx.branches.filter((other) => other !== branch);
    return branch.vote === null && branch.form !== "forward" && before.every(inFavour);
  }
  if (tx.outcome === "aborted") return tx.branches.filter((other) => other.after.includes(branch.seq)).every(hasEnded);
  return branch.form !== "forward" || before.every(hasEnded);
}

const ask = (tx) => ({
  ...tx, branches: tx.branches.map((branch) => (branch.phase === null && branch.actual === null && due(tx, branch)
    ? { ...branch, phase: tx.outcome === null ? "prepare" : "finish", attempts: 1 } : branch)),
});

const STEPS = {
  "transaction.begun": (tx, data, at) => ask({
    ...tx, name: data.name, protocol: data.protocol, node: data.node, begun: at,
    deadline: data.deadline_at ? Date.parse(data.deadline_at) : null,
    branches: (data.branches ?? []).map((branch) => blank({ ...branch, after: branch.after ?? [] })),
  }),
  "branch.sent": (tx, data) => branchOf(tx, data.seq).actual !== null ? tx
    : change(tx, data.seq, { phase: data.phase, attempts: data.attempt, retry: null }),
  "branch.voted": (tx, data, at) => ask(change(tx, data.seq, {
    vote: data.vote, reason: data.reason || "", actual: data.actual ?? null, voted: at,
    finished: data.actual ? at : null, phase: null, error: "", retry: null,
  })),
  "transaction.decided": (tx, data, at) => ask({
    ...tx, outcome: data.outcome, reason: data.reason || "", decided: at,
    state: data.outcome === "committed" ? "applying" : "undoing",
    branches: tx.branches.map((branch) => (branch.actual !== null ? branch
      : { ...branch, phase: null, error: "", retry: null })),
  }),
  "branch.delayed": (tx, data, at) => branchOf(tx, data.seq).actual !== null ? tx
    : change(tx, data.seq, {
      phase: data.phase, error: data.error || "", attempts: data.attempt, retry: at + (data.retry_in_ms || 0),
    }),
  "branch.finished": (tx, data, at) => ask(change(tx, data.seq, {
    actual: data.actual, finished: at, phase: null, error: "", retry: null,
    ...(data.reason ? { reason: data.reason } : {}),
  })),
  "transaction.ended": (tx, data, at) => ({
    ...tx, outcome: data.outcome, heuristic: data.heuristic || "", ended: at,
    state: data.heuristic ? "heuristic" : data.outcome,
  }),
};

// Since when a branch has been prepared without a decision; null when none is.
export function preparedSince(tx) {
  if (tx.outcome !== null) return null;
  const times = tx.branches.filter((branch) => branch.vote === "yes" && branch.actual === null && branch.mode !== "saga")
    .map((branch) => branch.voted);
  return times.length ? Math.min(...times) : null;
}

// What must happen next, from the folded state alone; for looking back.
export function waitsFor(tx) {
  const names = (branches) => branches.map((branch) => branch.participant || `branch ${branch.seq}`).join(" and ");
  if (tx.ended !== null) return `ended ${tx.outcome}`;
  if (tx.outcome !== null) {
    const open = tx.branches.filter((branch) => branch.actual === null);
    return open.length ? `${names(open)} to follow the decision` : "its end to be recorded";
  }
  const asked = tx.branches.filter((branch) => branch.vote === null && branch.form !== "forward");
  return asked.length ? `${names(asked)} to vote` : "the decision";
}
