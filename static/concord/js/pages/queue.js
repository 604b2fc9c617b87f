// One queue: how it stands and flows, who works on what, what died.
import { computed, effect, signal } from "@preact/signals-core";
import "@preact/signals";
import "../shell.js";
import { data, shell } from "../boot.js";
import { clock, number } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { follow, Spark } from "../parts/chart.js";
import { offerLink } from "../parts/copy.js";
import { watchDialog, watchSweep } from "../parts/dialog.js";
import { FlowChart, FlowKey } from "../queue/chart.js";
import { Oldest, QueueState, rateOf, said, stateNow } from "../queue/parts.js";
import { Flight, Latest, Letters, Sheet, Sweeping, Sweeps } from "../queue/tables.js";
import { sentence } from "../queue/words.js";
import { Fragment, html, Icon, mount } from "../ui.js";

const COLUMNS = { came: 1, acked: 2, died: 3, ready: 4, in_flight: 5 };
const row = signal(data.row);
const past = signal({ buckets: data.buckets, flight: data.flight, letters: data.letters, latest: data.latest, sweeps: data.sweeps });
const width = signal(0);
const state = computed(() => stateNow(row.value));
const waiting = computed(() => row.value.ready + row.value.delayed);
const series = (word) => past.value.buckets.map((bucket) => bucket[COLUMNS[word]] ?? 0);

const Pill = () => html`<span key=${state.value} class="flash"><${QueueState} state=${state.value} extra="pill" /></span>`;

function Sentence() {
  const [icon, hue, lead, sub] = sentence(row.value, state.value, now.value);
  return html`<div class="note" data-s=${hue}><${Icon} name=${icon} /><div><p class="lead">${lead}</p>${sub && html`<p class="sub">${sub}</p>`}</div></div>`;
}

const Stat = ({ label, value, unit, note, spark, hue = "" }) => html`<div class="stat"><dt>${label}</dt><dd class=${`v ${hue}`.trim()}>${value}${unit && html`<small>${unit}</small>`}</dd>
  ${spark?.length > 1 && html`<${Spark} values=${spark} />`}<dd class="s">${note}</dd></div>`;

function Stats() {
  const { ready, grouped, in_flight: inFlight, delayed, oldest, counts, retried, max_length: bound, came, acked } = row.value;
  const unknown = counts ? "" : "not known here";
  return html`<${Fragment}>
    <${Stat} label="Ready" value=${number(ready)} note=${bound ? `of at most ${number(bound)} in it` : grouped ? `${number(grouped)} behind their group` : "may be taken now"} spark=${series("ready")} />
    <${Stat} label="In flight" value=${counts || inFlight ? number(inFlight) : "–"} note=${counts ? "taken, not settled" : "each process knows its own"} spark=${counts ? series("in_flight") : []} />
    <${Stat} label="Delayed" value=${number(delayed)} note=${counts ? `${number(retried)} failed attempts so far` : "until another attempt"} />
    <${Stat} label="Oldest" value=${html`<${Oldest} row=${row.value} />`} note=${oldest !== null ? "the first that is ready" : ready ? "not known here" : "nothing is ready"} hue=${state.value === "backing_up" ? "wait" : ""} />
    <${Stat} label="In" value=${said(rateOf(came))} unit=${rateOf(came) === null ? "" : "/s"} note=${unknown || "last 10 s"} spark=${unknown ? [] : series("came")} />
    <${Stat} label="Out" value=${said(rateOf(acked))} unit=${rateOf(acked) === null ? "" : "/s"} note=${unknown || "acked, last 10 s"} spark=${unknown ? [] : series("acked")} /><//>`;
}

function Chart() {
  const { buckets } = past.value;
  if (!row.value.counts) return html`<p class="dim">Store ${row.value.store} counts no totals, so there are no rates.</p>`;
  if (buckets.length === 0) return html`<p class="dim">Not sampled in the last ten minutes.</p>`;
  return width.value > 0 && html`<${FlowChart} buckets=${buckets} width=${width.value} />`;
}

function noFlight() {
  if (!row.value.counts) return `store ${row.value.store} tells nobody who has what`;
  return row.value.in_flight ? "none that events told of here" : "nobody works on any";
}

const Balanced = () => {
  const { missing, sampled } = row.value;
  if (missing === null || missing === undefined) return "";
  return html`${missing === 0 ? html`<span class="st" data-s="ok"><${Icon} name="ok" />to the message</span>` : html`<span class="st" data-s="bad"><${Icon} name="bad" />does not add up</span>`}
    <span class="hide">${sampled && clock(sampled, false)}</span>`;
};

mount("pill", Pill);
mount("sentence", Sentence);
mount("sweeping", () => html`<${Sweeping} sweeps=${past.value.sweeps} />`);
mount("stats", Stats);
mount("chart", Chart);
mount("chart-key", FlowKey);
mount("letters", () => html`<${Letters} letters=${past.value.letters} store=${row.value.store} dead=${row.value.dead} />`);
mount("flight", () => html`<${Flight} flight=${past.value.flight} store=${row.value.store} none=${noFlight()} />`);
mount("latest", () => html`<${Latest} latest=${past.value.latest} store=${row.value.store} />`);
mount("sheet", () => html`<${Sheet} row=${row.value} />`);
mount("balanced", Balanced);
mount("sweeps", () => html`<${Sweeps} sweeps=${past.value.sweeps} />`);
follow(document.getElementById("chart"), (found) => { width.value = found; });

const shown = (some, all) => (some < all ? `${number(some)} of ${number(all)}` : number(all));
effect(() => {
  const { dead, in_flight: inFlight, refused, dead_letter: keeps } = row.value;
  document.getElementById("letters-count").textContent = keeps ? shown(past.value.letters.length, dead) : "it has no dead letter queue";
  document.getElementById("flight-count").textContent = row.value.counts ? shown(past.value.flight.length, inFlight) : "not known here";
  document.getElementById("refused").textContent = number(refused);
});

// What cannot be done says why; what this person may never do said so from the beginning.
function offer(what, right, obstacle) {
  if (!shell.perms[right]) return;
  const button = document.getElementById(`${what}-open`);
  button.disabled = obstacle !== "";
  button.title = obstacle;
}

effect(() => {
  const { able } = data;
  const paused = row.value.publishing_paused || row.value.consuming_paused;
  document.getElementById("pause-open").hidden = paused;
  document.getElementById("resume-open").hidden = !paused;
  offer("redrive", "pause", able.redrive || (row.value.dead ? "" : "It has no dead letters"));
  offer("move", "pause", able.move || (waiting.value ? "" : "Nothing waits in it"));
  offer("purge", "purge", able.purge || (waiting.value ? "" : "Nothing waits in it"));
});

const figures = () => ({ ready: number(row.peek().ready), "in-flight": number(row.peek().in_flight) });
watchDialog("pause", figures);
watchDialog("resume", figures);
watchSweep("redrive", "Redrive", () => row.peek().dead);
watchSweep("move", "Move", () => waiting.peek());
watchSweep("purge", "Purge", () => waiting.peek());

offerLink(document.getElementById("copy-link"));

function take(rows, agg) {
  if (rows.length) [row.value] = rows;
  if (Object.keys(agg).length) past.value = { ...past.peek(), ...agg };
}

subscribe(new Topic(`queue:${data.key}`, {
  onSnap: (frame) => take(frame.rows, frame.agg),
  onDelta: (frame) => take(frame.up, frame.agg),
}));
