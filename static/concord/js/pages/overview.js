// The overview, kept by the socket.
import { signal, computed, effect } from "@preact/signals-core";
import "@preact/signals";
import "../shell.js";
import { data, shell } from "../boot.js";
import { capped, clock, duration, figure, number } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { follow, Rates, Spark } from "../parts/chart.js";
import { tell } from "../parts/events.js";
import { freshness, verdictAt } from "../parts/verdict.js";
import { addressOf, Fragment, html, Icon, mount, Named, nameOf, tail, VerdictState } from "../ui.js";

const BUCKET_S = 5;
const RECENT = 2;
const LINES = 14;

const board = signal(data.overview);
const events = signal(data.events);
const left = signal(0);
let holding = false;
const SEVERITY = ["VIOLATED", "UNPROVEN", "CHECKING", "HOLDS"];
const stateOf = (verdict) => verdictAt(verdict, now.value);
const state = computed(() => SEVERITY.find((each) => board.value.verdicts.some((verdict) => stateOf(verdict) === each)));
// What is worst, is what the headline is about.
const worst = () => board.value.verdicts.filter((verdict) => stateOf(verdict) === state.value);

const sum = (rates, column) => rates.reduce((total, rate) => total + rate[column], 0);
const series = (column) => board.value.rates.map((rate) => rate[column]);
const perSecond = (column) => sum(board.value.rates.slice(-RECENT), column) / (RECENT * BUCKET_S);

function Headline() {
  const { doubt, rates, broken } = board.value;
  const ended = number(sum(rates, 2) + sum(rates, 3));
  const inDoubt = doubt.count ? `${number(doubt.count)} in doubt` : "none in doubt";
  const violated = state.value === "VIOLATED" ? `${broken} open violation${broken === 1 ? "" : "s"} of ${worst().map(({ name }) => shell.words.promises[name].of).join(" and ")}. ` : "";
  return html`<div><h1>${shell.words.headlines[state.value]}</h1>
    <p>${violated}${ended} transactions decided in the last 5 minutes, ${inDoubt}. ${reason(worst()[0])}</p></div>`;
}

function reason(verdict) {
  if (state.value !== "UNPROVEN" && state.value !== "CHECKING") return "";
  if (verdict.at !== null && now.value - verdict.at > 2 * verdict.period) {
    return `The auditor has been silent for ${duration(now.value - verdict.at)}.`;
  }
  return verdict.reason ? `${verdict.reason[0].toUpperCase()}${verdict.reason.slice(1)}.` : "";
}

function Tile({ verdict }) {
  const [, hue] = shell.words.verdicts[stateOf(verdict)];
  const since = verdict.at === null ? "" : `checked ${duration(now.value - verdict.at)} ago`;
  return html`<a class="vt" data-v=${hue} href=${`/verdicts/${verdict.name}/`}>
    <header><${VerdictState} state=${stateOf(verdict)} /><span class="ago">${since}</span></header>
    <h2>${verdict.title}</h2><p>${verdict.claim}</p>${verdict.name === "atomicity" && html`<${Strip} hue=${hue} />`}
    <footer><span><b>${number(verdict.checked)}</b> ${shell.words.promises[verdict.name].judged}</span><span>${number(verdict.violations)} open violation${verdict.violations === 1 ? "" : "s"}</span></footer>
    <svg class="fresh" aria-hidden="true"><rect width=${`${Math.round(freshness(verdict, now.value) * 100)}%`} height="2" /></svg></a>`;
}

// What ended in each five seconds: the evidence the verdict rests on.
function Strip({ hue }) {
  const bars = board.value.rates.slice(-40).map((rate) => rate[2] + rate[3]);
  const most = Math.max(1, ...bars);
  return html`<svg class="strip" viewBox="0 0 200 22" preserveAspectRatio="none" role="img" aria-label="Transactions decided in each five seconds">
    ${bars.map((bar, i) => bar === 0
      ? html`<rect class="f-none" x=${i * 5 + 0.5} y="17.5" width="2.5" height="4" />`
      : html`<rect class=${hue === "unknown" ? "f-idle" : "f-ok"} x=${i * 5} y=${22 - (bar / most) * 19 - 2} width="3.5" height=${(bar / most) * 19 + 2} />`)}</svg>`;
}

const Panel = ({ panel }) => html`<section class="vt panel-tile"><h2>${panel.title}</h2><dl>
  ${panel.rows.map((row) => html`<div data-s=${row.state}><dt>${row.label}</dt><dd>${row.value}</dd></div>`)}</dl></section>`;

const Tiles = () => html`<${Fragment}>${board.value.verdicts.map((verdict) => html`<${Tile} key=${verdict.name} verdict=${verdict} />`)}${board.value.panels.map((panel) => html`<${Panel} key=${panel.key} panel=${panel} />`)}<//>`;

const Stat = ({ icon, label, value, unit, note, spark, hue = "" }) => html`<div class="stat">
  <dt>${icon && html`<${Icon} name=${icon} />`}${label}</dt><dd class=${`v ${hue}`}>${value}${unit && html`<small>${unit}</small>`}</dd>
  ${spark && html`<${Spark} values=${spark} hue=${hue} />`}<dd class="s">${note}</dd></div>`;

function Stats() {
  const { rates, doubt } = board.value;
  const recent = rates.slice(-RECENT);
  const decided = sum(recent, 2) + sum(recent, 3);
  const mean = decided ? sum(recent, 4) / decided : null;
  const means = rates.map((rate) => (rate[2] + rate[3] ? rate[4] / (rate[2] + rate[3]) : 0));
  const worst = Math.max(0, ...recent.map((rate) => rate[5]));
  const share = decided ? `${figure((sum(recent, 3) / decided) * 100)} % of decisions` : "no decisions";
  return html`<${Fragment}>
    <${Stat} label="Begun" value=${figure(perSecond(1))} unit="/s" note="last 10 s" spark=${series(1)} />
    <${Stat} label="Committed" value=${figure(perSecond(2))} unit="/s" note=${`${number(sum(rates, 2))} in 5 min`} spark=${series(2)} />
    <${Stat} label="Aborted" value=${figure(perSecond(3))} unit="/s" note=${share} spark=${series(3)} />
    <${Stat} label="Time to decide" value=${mean === null ? "–" : figure(mean)} unit=${mean === null ? "" : "ms"} note=${mean === null ? "nothing decided in 10 s" : `mean; longest ${number(worst)} ms`} spark=${means} />
    <${Stat} icon="doubt" label="In doubt" value=${capped(doubt.count, shell.count_max)} hue=${doubt.count ? "wait" : ""}
      note=${doubt.oldest_ms === null ? "prepared, undecided for 1 s" : `oldest ${duration(now.value - doubt.oldest_ms)}`} /><//>`;
}

const ATTENTION = {
  violation: ["bad", "bad", (gid, object) => `Violation in ${nameOf(object, gid)}`],
  in_doubt: ["doubt", "wait", (gid) => `${tail(gid)} is in doubt`],
  stuck: ["glass", "wait", (gid) => `${tail(gid)} is slow`],
  heuristic: ["bolt", "wait", (gid) => `${tail(gid)} ended against its decision`],
};

function Attention() {
  const items = board.value.attention;
  document.getElementById("attention-count").textContent = items.length;
  if (items.length === 0) return html`<li class="none"><p>Nothing. No promise is broken, and every transaction is on its way or ended.</p></li>`;
  return items.map((item) => {
    const [icon, hue, title] = ATTENTION[item.kind];
    return html`<li key=${item.kind + item.gid} data-s=${hue}><${Icon} name=${icon} /><a href=${addressOf(item.object, item.gid)}>${title(item.gid, item.object)}</a>
      <time>${duration(now.value - item.since_ms)}</time><p>${item.text}</p></li>`;
  });
}

const DONE = { retry: "Sent again", commit: "Resolved commit", abort: "Resolved abort", acknowledge: "Acknowledged", force: "Taken away", forced: "Taken away", revoke: "Asked back", revoke_asked: "Asked back", adjusted: "Adjusted", reset: "Reset", pause: "Paused or resumed", purge: "Purged", move: "Moved", redrive: "Redriven" };

function Interventions() {
  const rows = board.value.interventions;
  if (rows.length === 0) return html`<p class="pad dim">Nobody had to do anything by hand.</p>`;
  return html`<table class="t ph2"><thead><tr><th scope="col">Time</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">On</th><th scope="col" class="cut">Reason</th></tr></thead>
    <tbody>${rows.map((row) => html`<tr key=${`${row.at_ms}${row.gid}`}><td class="mono pb">${clock(row.at_ms, false)}</td><td>${row.actor}</td>
      <td class="main ps">${DONE[row.action] ?? row.action}</td><td class="pm"><a href=${addressOf(row.object, row.gid)}><${Named} object=${row.object} name=${row.gid} /></a></td><td class="cut pa">${row.reason}</td></tr>`)}</tbody></table>`;
}

function Events() {
  return [...events.value].reverse().map((event) => {
    const [icon, hue, text] = tell(event);
    const branch = event.object !== "transaction" || event.data.seq === undefined ? "" : `branch ${event.data.seq} `;
    return html`<li key=${event.seq} data-s=${hue}><time>${clock(event.at)}</time><${Icon} name=${icon} />
      <span><a href=${addressOf(event.object, event.gid)}><b>${nameOf(event.object, event.gid)}</b></a> ${branch}${text}</span></li>`;
  });
}

function snapshot(frame) {
  board.value = frame.agg;
  if (!holding) events.value = frame.ev;
}

function delta(frame) {
  if (frame.agg.rates) board.value = frame.agg;
  if (holding || frame.ev.length === 0) return;
  left.value = frame.gap;
  events.value = [...events.peek(), ...frame.ev].slice(-LINES);
}

mount("headline", Headline);
mount("tiles", Tiles);
mount("stats", Stats);
mount("attention", Attention);
mount("interventions", Interventions);
mount("events", Events);

const chart = document.getElementById("chart");
const width = signal(0);
const Chart = () => width.value > 0 && html`<${Rates} rates=${board.value.rates} width=${width.value} seconds=${BUCKET_S} />`;
mount("chart", Chart);
follow(chart, (found) => { width.value = found; });

effect(() => {
  const rate = perSecond(1);
  document.getElementById("event-rate").textContent =
    holding ? "held" : left.value > 0 ? `${figure(rate)} begun/s, sampled` : `${figure(rate)} begun/s`;
});
document.getElementById("hold").addEventListener("click", (event) => {
  holding = !holding;
  event.currentTarget.setAttribute("aria-pressed", String(holding));
});
subscribe(new Topic("overview", { onSnap: snapshot, onDelta: delta }));
