// What every page does: the live pill, the rail's counts, dialogs, keys.
import { effect } from "@preact/signals-core";
import { lag, rail, seq, silence, standing } from "./live/socket.js";
import { number } from "./format.js";
import { html, render, Fragment, Icon } from "./ui.js";

const WORDS = { live: "Live", connecting: "Connecting", paused: "Paused" };
const TYPING = "input, textarea, select, [contenteditable]";

const pill = document.getElementById("live");
pill.replaceChildren();
effect(() => {
  const state = standing.value;
  const word = WORDS[state] ?? `Stale ${Math.floor(silence.value / 1000)} s`;
  pill.dataset.s = state;
  document.documentElement.dataset.feed = state;
  render(html`<${Fragment}><span class="dot"></span><b>${word}</b><span class="sep"></span>
    <span class="opt2">seq <span class="mono">${number(seq.value)}</span></span>
    ${lag.value != null && html`<span class="sep"></span><span class="opt2">${number(lag.value)} ms</span>`}<//>`, pill);
});

effect(() => {
  const counts = rail.value;
  if (counts === null) return;
  for (const spot of document.querySelectorAll("[data-rail]")) {
    const count = counts[spot.dataset.rail] || 0;
    if (spot.dataset.count === String(count)) continue;
    if (spot.dataset.count === undefined) spot.replaceChildren();
    spot.dataset.count = String(count);
    const shown = count === 0 ? null : html`<${Fragment}>${spot.dataset.icon && html`<${Icon} name=${spot.dataset.icon} />`}${number(count)}<span class="vh"> need attention</span><//>`;
    render(shown, spot);
  }
});

// Dialogs: opened by [data-open], closed by [data-close], Escape, or a click outside.
document.addEventListener("click", (event) => {
  const opener = event.target.closest("[data-open]");
  if (opener !== null && !opener.disabled) {
    document.querySelector("dialog[open]")?.close();
    document.getElementById(opener.dataset.open)?.showModal();
  } else if (event.target.closest("[data-close]") !== null || event.target.matches("dialog")) {
    event.target.closest("dialog")?.close();
  }
});

const GO = {
  o: '.rail [title="Overview"]',
  l: '.rail [title="Locks"]',
  c: '.rail [title="Counters"]',
  q: '.rail [title="Queues"]',
  t: '.rail [title="Transactions"]',
  v: '.rail [title="Verdicts"]',
  w: '.rail [title="Wait-for"]',
};
let going = 0;

addEventListener("keydown", (event) => {
  if (event.metaKey || event.ctrlKey || event.altKey || event.target.matches(TYPING)) return;
  if (document.querySelector("dialog[open]") !== null) return;
  if (going > event.timeStamp && GO[event.key]) {
    document.querySelector(GO[event.key]).click();
  } else if (event.key === "g") {
    going = event.timeStamp + 1000;
    return;
  } else if (event.key === "/") {
    (document.getElementById("filter") ?? document.getElementById("find")).focus();
    event.preventDefault();
  } else if (event.key === "?") {
    document.getElementById("help").showModal();
  } else if (event.key === "p") {
    document.getElementById("hold")?.click();
  }
  going = 0;
});
