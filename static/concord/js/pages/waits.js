// Who waits for whom, kept by the socket.
import { computed, signal } from "@preact/signals-core";
import "@preact/signals";
import "../shell.js";
import { data } from "../boot.js";
import { clock, duration, number, span } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { follow } from "../parts/chart.js";
import { BOX, contextName, layout, shorten, stuckOnly } from "../waits/layout.js";
import { html, Icon, keyName, lockAddress, mount } from "../ui.js";

const ROWS = 100, NAME = 15, OWNER = 26;

const graph = signal(data.waits);
const scope = signal(null); // "stuck" or "all"; null: what calls for somebody, if anything does
const width = signal(0);
let held = false;
let latest = null;

const shown = computed(() => scope.value ?? (graph.value.cycles.length > 0 ? "stuck" : "all"));
const drawn = computed(() => layout(shown.value === "stuck" ? stuckOnly(graph.value) : graph.value));
const waited = (since) => (since === null ? "" : duration(now.value - since));
const cycleEdges = (cycle) => cycle.map((i) => graph.value.edges[i]);

function lead() {
  const { cycles, total, locks } = graph.value;
  if (cycles.length > 0) {
    const count = cycles[0].length, more = cycles.length - 1;
    const who = count === 1 ? "One waits for itself" : `${count} wait for each other`;
    const others = more === 0 ? "" : more === 1 ? ", and there is 1 more such cycle" : `, and there are ${more} more such cycles`;
    return ["cycle", "bad", `${who}: none of them can go on${others}.`];
  }
  if (total === 0) return ["ok", "ok", "Nobody waits for anybody."];
  return ["glass", "busy", `${number(total)} ${total === 1 ? "wait" : "waits"} on ${locks === 1 ? "one lock" : `${number(locks)} locks`}; no cycle.`];
}

function Sentence() {
  const [icon, hue, text] = lead();
  const stuck = graph.value.behind.length;
  const sub = hue !== "bad" ? "" : `It ends when one of them gives up: its wait runs out, its lease ends, or somebody steps in.${stuck ? ` ${number(stuck)} more ${stuck === 1 ? "is" : "are"} stuck behind.` : ""}`;
  return html`<div class="note" data-s=${hue}><${Icon} name=${icon} /><div><p class="lead">${text}</p>${sub && html`<p class="sub">${sub}</p>`}</div></div>`;
}

const Button = ({ name, children }) => html`<button type="button" aria-pressed=${String(shown.value === name)} onClick=${() => { scope.value = name; }}>${children}</button>`;

function Scope() {
  const spot = document.getElementById("scope");
  spot.hidden = graph.value.cycles.length === 0;
  return html`<${Button} name="stuck">Cycles<//><${Button} name="all">All ${number(graph.value.total)}<//>`;
}

function Node({ box }) {
  const inside = html`<rect x=${box.x} y=${box.y} width=${BOX.width} height=${BOX.height} rx="6" /><title>${box.id}, ${box.owner}${box.key === null ? "" : `, waits for ${keyName(box.key)}`}</title>
    <text class="t1" x=${box.x + 12} y=${box.y + 18}>${shorten(contextName(box.id), NAME)}</text>
    <text x=${box.x + 12} y=${box.y + 34}>${shorten(box.owner, OWNER)}</text>
    <text x=${box.x + BOX.width - 12} y=${box.y + 18} text-anchor="end">${waited(box.since)}</text>`;
  const cls = `node ${box.hue}`.trim();
  return box.key === null ? html`<g class=${cls}>${inside}</g>` : html`<a class=${cls} href=${lockAddress(box.key)}>${inside}</a>`;
}

function Edge({ edge }) {
  const cyc = edge.number !== null;
  return html`<path class=${`edge ${cyc ? "cyc" : ""} ${edge.any ? "any" : ""}`} d=${edge.d} marker-end=${`url(#${cyc ? "gb" : "ga"})`} />`;
}

function Label({ edge }) {
  const [x, y] = edge.label;
  if (edge.number === null) return html`<text class="el mono" x=${x} y=${y + 3.5} text-anchor="middle">${edge.text}</text>`;
  return html`<g><circle class="n" cx=${x} cy=${y} r="8" /><text class="nt" x=${x} y=${y + 3.6} text-anchor="middle">${edge.number}</text>
    <text class="el mono em" x=${x + 14} y=${y + 3.6}>${edge.text}</text></g>`;
}

function Graph() {
  const picture = drawn.value;
  if (picture.boxes.length === 0) return html`<div class="empty"><h3>Nobody waits</h3><p>Waits appear here by themselves.</p></div>`;
  const view = Math.max(picture.width, width.value);
  const left = (view - picture.width) / 2;
  return html`<div class="gwrap" tabindex="0" role="region" aria-label="Wait-for graph; the table below says the same">
    <svg class="graph" width=${view} height=${picture.height} viewBox=${`${-left} 0 ${view} ${picture.height}`} role="group" aria-label=${`${picture.boxes.length} drawn, ${graph.value.cycles.length} in cycles`}>
      <defs><marker id="ga" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path class="hd" d="M0 .8 7.5 4 0 7.2Z" /></marker>
        <marker id="gb" viewBox="0 0 8 8" refX="6.5" refY="4" markerWidth="6" markerHeight="6" orient="auto"><path class="hd cyc" d="M0 .8 7.5 4 0 7.2Z" /></marker></defs>
      ${picture.edges.map((edge) => html`<${Edge} key=${edge.key} edge=${edge} />`)}
      ${picture.boxes.map((box) => html`<${Node} key=${box.id} box=${box} />`)}
      ${picture.edges.map((edge) => html`<${Label} key=${edge.key} edge=${edge} />`)}
    </svg></div>${picture.left > 0 && html`<footer><span>${number(picture.left)} more are not drawn; the table has them</span></footer>`}`;
}

const Cycle = ({ cycle }) => {
  const edges = cycleEdges(cycle);
  return html`<section class="card"><header><h2>The cycle</h2><div class="r">${edges.length} ${edges.length === 1 ? "wait" : "waits"}</div></header>
    <ol class="queue">${edges.map((edge, i) => html`<li key=${edge.key}><span class="pos bad">${i + 1}</span>
      <span class="who" title=${`${edge.waiter} → ${edge.holder}`}>${shorten(edge.waiter_owner, 14)} <span class="dim">→</span> ${shorten(edge.holder_owner, 14)}</span><span class="mid num">${waited(edge.since)}</span>
      <span class="why">waits for <a class="mono strong" href=${lockAddress(edge.key)}>${edge.name}</a>${edge.token && html` <span class="nowrap">token …${edge.token.slice(-7)}</span>`}</span></li>`)}</ol></section>`;
};

function Behind() {
  const stuck = new Set(graph.value.behind);
  const edges = graph.value.edges.filter((edge) => stuck.has(edge.waiter));
  const seen = new Map(edges.map((edge) => [edge.waiter, edge]));
  if (seen.size === 0) return null;
  return html`<section class="card"><header><h2>Blocked behind it</h2><div class="r num">${number(stuck.size)}</div></header>
    <ul class="queue">${[...seen.values()].slice(0, ROWS).map((edge) => html`<li key=${edge.waiter}><span><${Icon} name="glass" extra="s" /></span>
      <span class="who" title=${edge.waiter}>${edge.waiter_owner}<small>${edge.name}</small></span><span class="mid num">${waited(edge.since)}</span></li>`)}</ul></section>`;
}

const Cycles = () => graph.value.cycles.length === 0
  ? html`<section class="card"><header><h2>Cycles</h2><div class="r num">0</div></header><p class="pad dim">None: every wait can end.</p></section>`
  : html`${graph.value.cycles.map((cycle) => html`<${Cycle} key=${cycle.join()} cycle=${cycle} />`)}<${Behind} />`;

function Edges() {
  const { edges, total } = graph.value;
  document.getElementById("wait-count").textContent = number(total);
  const rest = total - Math.min(edges.length, ROWS);
  return html`<table class="t ph2"><caption class="vh">Who waits for whom, cycles first, then the longest waits</caption><thead><tr><th scope="col">Waits</th><th scope="col">For whom</th><th scope="col" class="cut">Lock</th><th scope="col" class="r">Waited</th></tr></thead>
    <tbody>${edges.length === 0 ? html`<tr><td class="pm dim">nobody</td><td></td><td></td><td></td></tr>` : edges.slice(0, ROWS).map((edge) => html`<tr key=${`${edge.waiter}\n${edge.holder}\n${edge.key}`}>
      <td class="pm main mono" title=${edge.waiter}>${edge.waiter_owner}</td><td class="pa mono" title=${edge.holder}>${edge.any_of && html`<span class="dim">any of </span>`}${edge.holder_owner}</td>
      <td class="cut ps"><a class="mono" href=${lockAddress(edge.key)}>${edge.name}</a></td><td class="r pb mono">${waited(edge.since)}</td></tr>`)}</tbody></table>
    ${rest > 0 && html`<div class="tf"><span>and ${number(rest)} more</span></div>`}`;
}

function Deadlocks() {
  const rows = graph.value.deadlocks;
  document.getElementById("deadlock-count").textContent = `${rows.length} found lately`;
  const name = (context) => shorten(contextName(context), NAME);
  return html`<table class="t ph2"><caption class="vh">Deadlocks that were found, the newest first</caption><thead><tr><th scope="col">Detected</th><th scope="col">Cycle</th><th scope="col" class="cut">Locks</th><th scope="col">Given up</th><th scope="col">Rule</th><th scope="col" class="r">Lasted</th></tr></thead>
    <tbody>${rows.length === 0 ? html`<tr><td class="pm dim">none found</td><td></td><td></td><td></td><td></td><td></td></tr>` : rows.map((row) => html`<tr key=${`${row.at}${row.victim}`}>
      <td class="pa mono">${clock(row.at)}</td><td class="pm main mono" title=${row.contexts.join(" → ")}>${row.contexts.map(name).join(" → ")}</td>
      <td class="cut mono">${row.keys.map(keyName).join(", ")}</td><td class="ps mono" title=${row.victim}>${name(row.victim)}</td><td>${row.rule}</td>
      <td class="r pb mono">${row.lasted === null ? "" : span(row.lasted)}</td></tr>`)}</tbody></table>`;
}

mount("sentence", Sentence);
mount("scope", Scope);
mount("graph", Graph);
mount("cycles", Cycles);
mount("edges", Edges);
mount("deadlocks", Deadlocks);
follow(document.getElementById("graph"), (found) => { width.value = found; });

document.getElementById("hold").addEventListener("click", (event) => {
  held = !held;
  event.currentTarget.setAttribute("aria-pressed", String(held));
  event.currentTarget.querySelector("span").textContent = held ? "Follow" : "Hold still";
  if (!held && latest !== null) graph.value = latest;
});

function take(frame) {
  if (!frame.agg.edges) return;
  latest = frame.agg;
  if (!held) graph.value = latest;
}
subscribe(new Topic("waits", { onSnap: take, onDelta: take }));
