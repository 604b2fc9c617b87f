// The live list. Rows change in place; the order waits while somebody points at the list.
import { signal, batch } from "@preact/signals-core";
import "@preact/signals";
import { useRef } from "preact/hooks";
import "../shell.js";
import { data, shell } from "../boot.js";
import { capped, clock, duration, number } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { address, Gid, html, Phase, render, State, stateAt } from "../ui.js";

const body = document.getElementById("rows");
const empty = document.getElementById("empty");
const waiting = document.getElementById("waiting");
const holdButton = document.getElementById("hold");

const rows = new Map(); // gid → signal of the row
const order = signal([]);
let held = false;
let pointed = false;

// Unfinished first, oldest first; then the newest begun. The same key as on the server.
function before(a, b) {
  const unfinished = (a.ended === null) - (b.ended === null);
  if (unfinished !== 0) return -unfinished;
  const time = a.ended === null ? a.begun - b.begun : b.begun - a.begun;
  return time || (a.gid < b.gid ? -1 : 1);
}

function arrange() {
  const all = [...rows.values()].map((row) => row.peek()).sort(before);
  for (const row of all.splice(shell.page_rows)) rows.delete(row.gid);
  order.value = all.map((row) => row.gid);
  waiting.hidden = true;
  empty.hidden = all.length > 0;
  document.getElementById("shown").textContent = `${all.length} shown, unfinished first, then newest`;
}

function rearrange() {
  if (!held && !pointed) {
    arrange();
    return;
  }
  const known = new Set(order.peek());
  const fresh = [...rows.keys()].filter((gid) => !known.has(gid)).length;
  waiting.textContent = `${number(fresh)} newer held back`;
  waiting.hidden = fresh === 0;
}

function put(row) {
  const known = rows.get(row.gid);
  if (known === undefined) rows.set(row.gid, signal(row));
  else if (known.peek().v <= row.v) known.value = row;
}

function snapshot(frame) {
  batch(() => {
    const present = new Set(frame.rows.map((row) => row.gid));
    for (const gid of rows.keys()) if (!present.has(gid)) rows.delete(gid);
    frame.rows.forEach(put);
    rearrange();
  });
  figures(frame);
}

function delta(frame) {
  batch(() => {
    frame.up.forEach(put);
    // While held, a row that left the filter stays to be looked at; it goes with the next order.
    for (const gid of frame.del) rows.delete(gid);
    rearrange();
  });
  figures(frame);
}

function figures(frame) {
  document.getElementById("asof").textContent = `as of seq ${number(frame.seq)}`;
  const counts = frame.agg.counts;
  if (!counts || Object.keys(counts).length === 0) return;
  const whole = Object.values(counts).reduce((sum, count) => sum + count, 0);
  for (const facet of document.querySelectorAll("#facets a")) {
    const count = facet.dataset.state === "" ? whole : counts[facet.dataset.state];
    facet.querySelector(".n").textContent = capped(count, shell.count_max);
  }
}

const OUTCOMES = { committed: ["ok", "commit"], aborted: ["mid", "abort"] };
const kept = new Map(); // rows still shown although they left, while the order is held

function Row({ gid }) {
  const source = rows.get(gid) ?? kept.get(gid);
  kept.set(gid, source);
  const row = source.value;
  const moment = row.ended ?? now.value;
  const state = row.ended === null ? stateAt(row, moment) : row.state;
  const [hue, outcome] = OUTCOMES[row.outcome] ?? ["dim", "none yet"];
  const first = useRef(state);
  // Most go by within a second; only a change one could have waited for is worth a flash.
  if (first.current !== state) first.current = moment - row.begun > 1000 ? null : state;
  return html`<tr data-gid=${gid}>
    <td class="ps"><span key=${state} class=${first.current === null ? "flash" : ""}><${State} state=${state} /></span></td>
    <td class="pm"><a href=${address(gid)}><${Gid} gid=${gid} /></a></td>
    <td><span class="mono">${row.name}</span></td>
    <td class="pa"><${Phase} marks=${row.marks} doubt=${state === "in_doubt"} label=${row.waits} /></td>
    <td class="cut"><span class=${row.ended === null ? "" : "dim"}>${row.waits}</span></td>
    <td class="r pb mono">${duration(moment - row.begun)}</td>
    <td><span class=${hue}>${outcome}</span></td>
    <td class="mono">${clock(Math.floor(row.begun))}</td></tr>`;
}

function Rows() {
  const shown = order.value;
  for (const gid of kept.keys()) if (!shown.includes(gid)) kept.delete(gid);
  return shown.map((gid) => html`<${Row} key=${gid} gid=${gid} />`);
}

if (data.live) {
  data.rows.forEach(put);
  arrange();
  body.replaceChildren();
  render(html`<${Rows} />`, body);
  body.addEventListener("pointerenter", (event) => { pointed = event.pointerType === "mouse"; });
  body.addEventListener("pointerleave", () => { pointed = false; rearrange(); });
  holdButton.addEventListener("click", () => {
    held = !held;
    holdButton.setAttribute("aria-pressed", String(held));
    holdButton.querySelector("span").textContent = held ? "Follow" : "Hold still";
    rearrange();
  });
  subscribe(new Topic("transactions", { filter: data.filter, onSnap: snapshot, onDelta: delta }));
} else {
  document.getElementById("asof").textContent += ", not live: only the first page is";
}
