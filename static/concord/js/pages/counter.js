// One counter: how it stands, how it got there, and what a person may do.
import { computed, effect, signal } from "@preact/signals-core";
import "@preact/signals";
import "../shell.js";
import { data, shell } from "../boot.js";
import { ChangeWord, CounterState, RateChart } from "../counter/parts.js";
import { boundsOf, series, stateAt } from "../counter/state.js";
import { sentence } from "../counter/words.js";
import { clock, number, signed } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { follow } from "../parts/chart.js";
import { offerLink } from "../parts/copy.js";
import { watchCounter } from "../parts/dialog.js";
import { html, Icon, mount } from "../ui.js";

const row = signal(data.row);
const changes = signal(data.changes);
const cells = signal(data.cells);
const width = signal(0);
const state = computed(() => stateAt(row.value, now.value, shell));
const several = computed(() => row.value.shards > 1);

const Pill = () => html`<span key=${state.value} class="flash"><${CounterState} state=${state.value} extra="pill" /></span>`;

function Sentence() {
  const [icon, hue, lead, sub] = sentence(row.value, state.value, now.value);
  return html`<div class="note" data-s=${hue}><${Icon} name=${icon} /><div><p class="lead">${lead}</p>${sub && html`<p class="sub">${sub}</p>`}</div></div>`;
}

const Chart = () => width.value > 0 && html`<${RateChart} bars=${series(row.value.rates, now.value)} width=${width.value} />`;

const versions = ({ first, version }) => (first === version ? number(version) : `${number(first)}–${number(version)}`);

function Change({ change }) {
  const said = change.actor ? `${change.actor}: ${change.reason}` : "";
  const by = change.actor ? html`<${Icon} name="user" extra="s" />${change.actor}` : change.node;
  return html`<tr><td class="r mono">${several.value && html`<span class="dim">${change.shard}: </span>`}${versions(change)}</td>
    <td class="pa mono">${clock(change.at_ms)}</td><td class="pm main"><${ChangeWord} kind=${change.kind} count=${change.version - change.first + 1} /></td>
    <td class="r ps mono strong">${signed(change.after - change.before)}</td><td class="r mono">${number(change.before)}</td><td class="r pb mono">${number(change.after)}</td>
    <td class="cut mono" title=${change.op_id}>${change.op_id}</td><td class="by" title=${said}><span>${by}</span>${change.reason && html`<small>${change.reason}</small>`}</td></tr>`;
}

const Changes = () => html`<table class="t ph2 changes"><caption class="vh">Changes, the newest first</caption><thead><tr><th scope="col" class="r">${several.value ? "Row: version" : "Version"}</th><th scope="col">Time</th><th scope="col">What</th><th scope="col" class="r">Amount</th><th scope="col" class="r">From</th><th scope="col" class="r">To</th><th scope="col" class="cut">Op id</th><th scope="col">By</th></tr></thead>
  <tbody>${changes.value.length === 0 ? html`<tr><td class="pm dim">none kept</td><td></td><td></td><td></td><td></td><td></td><td></td><td></td></tr>`
    : changes.value.map((change) => html`<${Change} key=${`${change.shard} ${change.seq} ${change.version}`} change=${change} />`)}</tbody></table>`;

// Where it stands between its bounds, if it has both.
function Between() {
  const { value, minimum, maximum } = row.value;
  if (minimum === null || maximum === null || maximum <= minimum) return null;
  const part = Math.max(0, Math.min(100, (100 * (value - minimum)) / (maximum - minimum)));
  return html`<svg class="leasebig" data-s=${state.value === "at_bound" ? "wait" : "busy"} role="img" aria-label=${`${part.toFixed(0)} % of the way from its minimum to its maximum`}><rect width=${`${part.toFixed(1)}%`} height="10" rx="5" /></svg>
    <div class="scale"><span>${number(minimum)}</span><span>${number(maximum)}</span></div>`;
}

function Value() {
  const { value, writes, changes: known } = row.value;
  document.getElementById("written").textContent = several.value ? `${number(known)} changes recorded` : `written ${writes === 1 ? "once" : `${number(writes)} times`}`;
  document.getElementById("bounds").textContent = boundsOf(row.value, number) || "none";
  return html`<div class="pad"><div class="hero"><b class="num">${state.value === "unknown" ? "?" : number(value)}</b>${state.value === "unknown" && html`<span>last seen at ${number(value)}</span>`}</div><${Between} /></div>`;
}

function Last() {
  const { last, changed } = row.value;
  if (last === null) return html`<p class="pad dim">None was seen.</p>`;
  return html`<div class="pad"><dl class="kv"><dt>What</dt><dd><${ChangeWord} kind=${last.kind.replace("counter.", "")} count=${last.count} /></dd><dt>Amount</dt><dd class="mono">${signed(last.after - last.before)}</dd>
    ${!several.value && html`<dt>From, to</dt><dd class="mono">${number(last.before)} → ${number(last.after)}</dd>`}<dt>At</dt><dd>${clock(changed)}</dd><dt>Op id</dt><dd class="mono">${last.op_id}</dd>
    ${last.node && html`<dt>Node</dt><dd class="mono">${last.node}</dd>`}${last.actor && html`<dt>By hand</dt><dd>${last.actor}: ${last.reason}</dd>`}</dl></div>`;
}

function Cells() {
  document.getElementById("cells-card").hidden = cells.value.length === 0;
  return html`<table class="t"><caption class="vh">Rows of the counter</caption><thead><tr><th scope="col" class="r">Row</th><th scope="col" class="r">Value</th><th scope="col" class="r">Written</th></tr></thead>
    <tbody>${cells.value.map((cell) => html`<tr key=${cell.shard}><td class="r mono">${cell.shard}</td><td class="r mono strong">${number(cell.value)}</td><td class="r mono">${number(cell.writes)}</td></tr>`)}</tbody></table>`;
}

mount("pill", Pill);
mount("sentence", Sentence);
mount("changes", Changes);
mount("value", Value);
mount("last", Last);
mount("cells", Cells);
const chart = document.getElementById("chart");
mount("chart", Chart);
follow(chart, (found) => { width.value = found; });

watchCounter(() => row.peek());
offerLink(document.getElementById("copy-link"));

effect(() => { document.title = `${number(row.value.value)} · ${row.value.name} · Concord`; });

function take(rows, agg) {
  if (rows.length) [row.value] = rows;
  if (agg.changes) changes.value = agg.changes;
  if (agg.cells) cells.value = agg.cells;
}

subscribe(new Topic(`counter:${data.key}`, {
  onSnap: (frame) => take(frame.rows, frame.agg),
  onDelta: (frame) => take(frame.up, frame.agg),
}));
