// The swimlane as numbers: lanes, bars, arrows and labels, for one width. Pure.
import { span } from "../format.js";
import { axis, pieces, Places, ticks } from "./axis.js";
import { fold, placeOf, preparedSince } from "./reducer.js";

export const LANE = 52, HEAD = 28, BAR = 20;
const TAIL_ENDED = 132, TAIL_LIVE = 30, LABEL = 6.6, ICON = 26, IN_DOUBT_MS = 1000;

const ENDS = {
  committed: ["ok", "ok", "COMMITTED", "DONE"],
  aborted: ["idle", "ended", "ROLLED BACK", "UNDONE"],
  read_only: ["idle", "ended", "READ ONLY", "READ"],
  heuristic_commit: ["bad", "bolt", "COMMITTED AGAINST IT", "AGAINST IT"],
  heuristic_rollback: ["bad", "bolt", "ROLLED BACK", "UNDONE"],
  heuristic_hazard: ["unknown", "unknown", "NOBODY KNOWS", "UNKNOWN"],
};

// How a step of a saga ended, which is seen from its vote on and undone by a compensation.
const ends = (branch) => {
  if (branch.mode !== "saga" || branch.actual !== "aborted") return ENDS[branch.actual];
  return branch.vote === null ? ["idle", "ended", "NEVER ASKED", "UNASKED"] : ["idle", "undo", "COMPENSATED", "UNDONE"];
};

export const middle = (lane) => HEAD + lane * LANE + LANE / 2;

// `now`: the moment it is, while the story goes on; null looks back at a part of it.
export function layout(events, width, now) {
  const tx = fold(events);
  const times = events.map((event) => event.at);
  const moment = tx.ended === null && now !== null ? Math.max(now, times.at(-1)) : null;
  const place = moment === null ? axis(times, width, TAIL_ENDED) : axis([...times, moment], width, TAIL_LIVE);
  const edge = moment === null ? place.end - 12 : place.x(moment);
  const lanes = [
    { name: "decision", note: "register, database" },
    { name: "coordinator", note: tx.node },
    ...tx.branches.map((branch) => ({ name: branch.participant, note: `${placeOf(branch)}, ${branch.mode}` })),
  ];
  const picture = { lanes, bars: [], arrows: [], decided: null, folds: place.folds, end: place.end, edge, places: new Places() };
  drawTroubles(picture, tx, events, place);
  drawDecision(picture, tx, place);
  tx.branches.forEach((branch, i) => drawBranch(picture, tx, branch, i + 2, place, moment));
  const { places, ...drawn } = picture;
  return { ...drawn, ticks: ticks(place, moment === null ? null : edge), now: moment === null ? null : edge, height: HEAD + lanes.length * LANE };
}

// A bar, with the longest of `labels` that fits into the widest piece no fold covers.
function addBar(picture, lane, from, to, hue, icon, ...labels) {
  const widest = pieces(from, to, picture.folds).sort((a, b) => b[1] - b[0] - (a[1] - a[0]))[0] ?? [from, to];
  const room = widest[1] - widest[0];
  const text = labels.find((label) => label.length * LABEL <= room - ICON) ?? "";
  picture.bars.push({ lane, x: from, width: Math.max(3, to - from), hue, icon: room >= 18 ? icon : null, text, textX: widest[0], title: labels[0] });
}

// An arrow; its label stands beside its middle if nothing else does.
function addArrow(picture, from, to, x1, x2, kind, title, label = "") {
  const down = to > from;
  const y1 = middle(from) + (down ? BAR / 2 : -BAR / 2);
  const whole = middle(to) + (down ? -BAR / 2 : BAR / 2);
  // What was lost ends in a cross before it arrives.
  const reach = kind === "lost" ? 0.8 : 1;
  const [endX, y2] = [x1 + (x2 - x1) * reach, y1 + (whole - y1) * reach];
  const labelX = endX + 7;
  const labelY = y1 + (y2 - y1) * (kind === "lost" ? 1 : 0.5) + 3.5;
  const shown = label !== "" && picture.places.claim(labelX, labelY, label.length);
  picture.arrows.push({ x1, y1, x2: endX, y2, kind, title, label: shown ? label : "", labelX, labelY });
}

function drawDecision(picture, tx, place) {
  const begun = place.x(tx.begun ?? place.moments[0]);
  const decided = tx.decided === null ? null : place.x(tx.decided);
  addBar(picture, 1, begun, decided ?? picture.edge, "busy", "busy", "collecting votes", "voting");
  if (decided === null) return;
  const committed = tx.outcome === "committed";
  const word = committed ? "COMMIT" : "ABORT";
  picture.decided = { x: decided, committed };
  addBar(picture, 0, decided, picture.edge, committed ? "ok" : "idle", "reg", `${word}, written once`, word);
  const done = tx.ended === null ? picture.edge : place.x(tx.ended);
  if (done - decided > 3) addBar(picture, 1, decided, done, "busy", committed ? "busy" : "undo", committed ? "applying" : "undoing");
  addArrow(picture, 1, 0, decided - 8, decided, "", `outcome set: ${tx.outcome}`);
}

// When the branch was asked: at the begin, or, a last agent or a step, once those before it had voted.
function askedAt(tx, branch, place) {
  if (branch.form === "forward") return tx.decided === null || tx.outcome === "aborted" ? null : place.x(tx.decided);
  if (branch.after.length > 0) {
    const before = tx.branches.filter((each) => branch.after.includes(each.seq));
    if (before.some((each) => each.vote !== "yes" && each.vote !== "read_only")) return null;
    return place.x(Math.max(...before.map((each) => each.voted)));
  }
  if (branch.form !== "last") return place.x(tx.begun ?? place.moments[0]);
  if (branch.phase === null && branch.vote === null) return null;
  const votes = tx.branches.filter((each) => each.form !== "last" && each.voted !== null).map((each) => each.voted);
  return place.x(votes.length ? Math.max(...votes) : tx.begun ?? place.moments[0]);
}

function drawBranch(picture, tx, branch, lane, place, moment) {
  const asked = askedAt(tx, branch, place);
  if (asked === null) return;
  const voted = branch.voted === null ? null : place.x(branch.voted);
  const finished = branch.finished === null ? null : place.x(branch.finished);
  const decided = tx.decided === null ? null : place.x(tx.decided);
  const until = voted ?? finished ?? (branch.form === "forward" ? null : decided) ?? picture.edge;
  addArrow(picture, 1, lane, asked + 2, asked + 12, until === picture.edge ? "fly" : "", "prepare", lane === 2 ? "prepare" : "");
  addBar(picture, lane, asked + 12, until, "busy", "busy", branch.participant.split(".").at(-1), "");
  if (voted !== null) drawVote(picture, tx, branch, lane, { place, moment, voted, finished });
  if (branch.actual !== null) drawEnd(picture, tx, branch, lane, place, finished);
  else if (decided !== null) {
    addArrow(picture, 1, lane, decided + 4, picture.edge, "fly", `told to ${tx.outcome === "committed" ? "commit" : "roll back"}`);
  }
}

function drawVote(picture, tx, branch, lane, { place, moment, voted, finished }) {
  const word = { yes: "yes", no: "no", read_only: "read only" }[branch.vote];
  addArrow(picture, lane, 1, voted - 8, voted, "", `voted ${word}`, word);
  if (branch.vote !== "yes" || finished === voted) return;
  const ms = (branch.finished ?? moment ?? tx.ended ?? place.moments.at(-1)) - branch.voted;
  const doubt = tx.decided === null && preparedSince(tx) !== null && ms > IN_DOUBT_MS ? ", in doubt" : "";
  if (branch.mode === "saga") addBar(picture, lane, voted, finished ?? picture.edge, "ok", "ok", `DONE ${span(ms)}`, "DONE");
  else addBar(picture, lane, voted, finished ?? picture.edge, "wait", "lock", `PREPARED${doubt} ${span(ms)}`, `PREPARED${doubt}`, "PREPARED", "PREP.");
}

function drawEnd(picture, tx, branch, lane, place, finished) {
  const [hue, icon, ...words] = ends(branch);
  addBar(picture, lane, finished, picture.edge, hue, icon, ...(branch.vote === "no" ? ["VOTED NO", "NO"] : words));
  if (tx.decided === null || branch.finished <= tx.decided) return;
  const left = Math.max(place.x(tx.decided) + 4, finished - 34);
  addArrow(picture, 1, lane, left, finished, "", `told: ${tx.outcome}`);
}

// Messages that failed or had to be sent again.
function drawTroubles(picture, tx, events, place) {
  for (const { kind, at, data } of events) {
    const lane = tx.branches.findIndex((branch) => branch.seq === data?.seq) + 2;
    const x = place.x(at);
    if (kind === "branch.delayed") addArrow(picture, 1, lane, x - 14, x, "lost", `${data.phase}: ${data.error}`, "failed");
    if (kind === "branch.sent") addArrow(picture, 1, lane, x, x + 12, "", `${data.phase} again, try ${data.attempt}`, `try ${data.attempt}`);
  }
}
