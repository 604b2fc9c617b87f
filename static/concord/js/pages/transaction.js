// One transaction: everything below the heading is folded from its events, now or at event k.
import { computed, effect, signal } from "@preact/signals-core";
import "@preact/signals";
import "../shell.js";
import { data } from "../boot.js";
import { clock, duration, number, span } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { follow } from "../parts/chart.js";
import { offerLink } from "../parts/copy.js";
import { watchResolve } from "../parts/dialog.js";
import { tell } from "../parts/events.js";
import { layout } from "../transaction/layout.js";
import { fold, placeOf, preparedSince, waitsFor } from "../transaction/reducer.js";
import { Scrubber } from "../transaction/scrubber.js";
import { Legend, Swimlane } from "../transaction/swimlane.js";
import { html, Icon, mount, State, stateAt } from "../ui.js";

const IDLE_MS = 1000;

const row = signal(data.row);
const events = signal(data.events);
const asked = Number.parseInt(new URLSearchParams(location.search).get("at"), 10);
const at = signal(Number.isNaN(asked) ? null : Math.max(1, asked)); // null: follow the last event
const width = signal(0);

const shown = computed(() => (at.value === null ? events.value : events.value.slice(0, at.value)));
const live = computed(() => shown.value.length === events.value.length);
const tx = computed(() => fold(shown.value));
const moment = computed(() => (live.value ? tx.value.ended ?? now.value : shown.value.at(-1)?.at ?? now.value));
const state = computed(() => stateAt({ state: tx.value.state, prepared: preparedSince(tx.value) }, moment.value));

effect(() => {
  const url = new URL(location.href);
  if (at.value === null || live.value) url.searchParams.delete("at");
  else url.searchParams.set("at", at.value);
  if (url.href !== location.href) history.replaceState(null, "", url);
});

const Pill = () => html`<span key=${state.value} class="flash"><${State} state=${state.value} extra="pill" /></span>`;

const Fact = ({ name, mono, hue, children }) => html`<div><dt>${name}</dt> <dd class=${mono ? "mono" : hue ?? ""}>${children}</dd></div>`;

function Facts() {
  const { outcome, branches, version, begun } = tx.value;
  const applied = branches.filter((branch) => branch.actual !== null).length;
  return [
    html`<${Fact} name="Name" mono=${true}>${row.value.name}<//>`,
    html`<${Fact} name="Protocol">${row.value.protocol}<//>`,
    row.value.key && html`<${Fact} name="Key" mono=${true}>${row.value.key}<//>`,
    html`<${Fact} name="Begun">${clock(begun)}<//>`,
    html`<${Fact} name=${tx.value.ended === null ? "Age" : "Took"}>${duration(moment.value - (begun ?? moment.value))}<//>`,
    html`<${Fact} name="Outcome" hue=${outcome === "committed" ? "ok" : ""}>${outcome ?? "none yet"}<//>`,
    html`<${Fact} name="Ended">${applied} of ${branches.length}<//>`,
    html`<${Fact} name="Node" mono=${true}>${row.value.node}<//>`,
    html`<${Fact} name="Version" mono=${true}>${version}<//>`,
  ];
}

const NOTE = { committed: ["ok", "ok"], aborted: ["ended", "idle"], heuristic: ["bolt", "bad"] };
const capital = (text) => text && text[0].toUpperCase() + text.slice(1);

function Sentence() {
  const [icon, hue] = NOTE[state.value] ?? (state.value === "in_doubt" ? ["doubt", "wait"] : ["glass", "busy"]);
  const ended = tx.value.ended !== null;
  const text = live.value ? row.value.waits : waitsFor(tx.value);
  const lead = ended ? `${capital(text)}.` : `Waits for ${text}.`;
  return html`<div class="note" data-s=${hue}><${Icon} name=${icon} /><div><p class="lead">${lead}</p><p class="sub">${detail()}</p></div></div>`;
}

function detail() {
  const { outcome, decided, ended, begun, branches, deadline } = tx.value;
  if (!live.value) return `As of event ${shown.value.length} of ${events.value.length}, ${clock(moment.value)}.`;
  if (ended !== null) {
    return `Decided ${span(decided - begun)} after it began, ended ${span(ended - decided)} after the decision.`;
  }
  if (outcome !== null) {
    const retry = branches.map((branch) => branch.retry).filter((time) => time > moment.value);
    const next = retry.length ? ` Next try in ${duration(Math.min(...retry) - moment.value)}.` : "";
    return `The decision is ${outcome === "committed" ? "commit" : "abort"}, durable at ${clock(decided)}, and can no longer change.${next}`;
  }
  const locked = branches.filter((branch) => branch.vote === "yes" && branch.actual === null && branch.mode !== "saga").map(placeOf);
  const held = locked.length ? ` Until then its locks in ${locked.join(" and ")} are held.` : "";
  return deadline && deadline > moment.value
    ? `Undecided; the deadline is in ${duration(deadline - moment.value)}.${held}`
    : `Undecided past its deadline: the next look aborts it.${held}`;
}

function Timeline() {
  if (width.value === 0 || shown.value.length === 0) return html`<div class="timeline-space"></div>`;
  const picture = layout(shown.value, width.value - (innerWidth <= 640 ? 108 : 148), live.value ? moment.value : null);
  return html`<${Swimlane} picture=${picture} />`;
}

const TimelineCard = () => html`<header><h2>Timeline</h2><div class="r"><${Legend} /></div></header><${Timeline} />
  <${Scrubber} at=${at} count=${events.value.length} live=${live.value} />`;

const VOTES = { yes: ["check", "ok"], no: ["x", "idle"], read_only: ["check", "idle"] };
const ENDS = { committed: ["ok", "ok", "Committed"], aborted: ["ended", "idle", "Rolled back"], read_only: ["ended", "idle", "Read only"] };

const standing = () => tx.value.outcome === "aborted" ? "Waiting for its compensation" : "Done";

function Applied({ branch }) {
  if (branch.mode === "saga" && branch.actual === "aborted") {
    return html`<span class="st" data-s="idle"><${Icon} name="ended" />${branch.vote === null ? "Never asked" : "Compensated"}</span>`;
  }
  if (branch.actual === null) {
    if (branch.error) return html`<span class="st" data-s="wait"><${Icon} name="cut" />Failing</span>`;
    if (branch.vote === "yes" && branch.mode === "saga") return html`<span class="st" data-s="wait"><${Icon} name="ok" />${standing()}</span>`;
    if (branch.vote === "yes") return html`<span class="st" data-s="wait"><${Icon} name="lock" />Prepared</span>`;
    if (branch.phase === null) return html`<span class="dim">not its turn yet</span>`;
    return html`<span class="st" data-s="busy"><${Icon} name="busy" />Working</span>`;
  }
  const [icon, hue, word] = ENDS[branch.actual] ?? ["bolt", "bad", capital(branch.actual.replaceAll("_", " "))];
  return html`<span class="st" data-s=${hue}><${Icon} name=${icon} />${word}</span>`;
}

const Branch = ({ branch }) => {
  const [icon, hue] = VOTES[branch.vote] ?? [];
  return html`<tr><td class="pm main">${branch.seq} <span class="mono">${branch.participant}</span> <span class="under">${placeOf(branch)}</span></td>
    <td class="pa">${icon ? html`<span class="st" data-s=${hue} title=${branch.reason}><${Icon} name=${icon} />${branch.vote.replace("_", " ")}</span>` : html`<span class="dim">none yet</span>`}</td>
    <td class="mono">${clock(branch.voted).slice(6)}</td><td class="ps"><${Applied} branch=${branch} /></td><td class="mono">${clock(branch.finished).slice(6)}</td>
    <td class="r mono">${branch.attempts}</td></tr>`;
};

const Branches = () => html`<table class="t ph2"><thead><tr><th scope="col">Branch</th><th scope="col">Vote</th><th scope="col">Voted</th><th scope="col">Now</th><th scope="col">Ended</th><th scope="col" class="r">Tries</th></tr></thead>
  <tbody>${tx.value.branches.map((branch) => html`<${Branch} key=${branch.seq} branch=${branch} />`)}</tbody></table>`;

function Payload() {
  return fold(events.value).branches.map((branch) => {
    const text = JSON.stringify(branch.args ?? {}, null, 2);
    const whole = text.length <= data.payload_chars;
    return html`<details key=${branch.seq} open=${branch.seq <= 2}><summary>${branch.seq} <span class="mono">${branch.participant}</span><small>${number(text.length)} characters</small></summary>
      <pre class="code">${whole ? text : text.slice(0, data.payload_chars)}</pre>${!whole && html`<p class="dim pad">Cut at ${number(data.payload_chars)} characters; the download has it all.</p>`}</details>`;
  });
}

function Log() {
  const names = new Map(fold(events.value).branches.map((branch) => [branch.seq, branch]));
  let before = null;
  return events.value.flatMap((event, i) => {
    const branch = names.get(event.data?.seq);
    const [icon, hue, text] = tell(event, branch && placeOf(branch));
    const gap = before !== null && event.at - before > IDLE_MS
      ? [html`<li class="gap" key=${`gap${event.v}`}>${duration(event.at - before)} in which nothing was recorded</li>`] : [];
    before = event.at;
    return [...gap, html`<li key=${event.v} class=${i === shown.value.length - 1 && !live.value ? "at" : i >= shown.value.length ? "later" : ""} data-s=${hue}>
      <span class="q">${number(event.seq)}</span><time>${clock(event.at)}</time><span class="who" title=${event.actor}>${branch?.participant ?? event.node}</span>
      <span class="what"><${Icon} name=${icon} />${text}</span></li>`];
  });
}

mount("pill", Pill);
mount("facts", Facts);
mount("sentence", Sentence);
mount("timeline", TimelineCard);
mount("branches", Branches);
mount("payload", Payload);
mount("log", Log);
follow(document.getElementById("timeline"), (found) => { width.value = found; });
watchResolve();

offerLink(document.getElementById("copy-link"));

effect(() => {
  if (row.value.ended === null) return;
  for (const id of ["retry", "resolve-open"]) document.getElementById(id).disabled = true;
});

subscribe(new Topic(`transaction:${data.gid}`, {
  onSnap(frame) {
    if (frame.rows.length) [row.value] = frame.rows;
    events.value = frame.ev;
  },
  onDelta(frame) {
    if (frame.up.length) [row.value] = frame.up;
    if (frame.ev.length) events.value = [...events.peek(), ...frame.ev];
  },
}));
