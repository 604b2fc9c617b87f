// The live list of counters.
import "@preact/signals";
import { useRef } from "preact/hooks";
import "../shell.js";
import { shell } from "../boot.js";
import { CounterState } from "../counter/parts.js";
import { boundsOf, rateAt, series, stateAt } from "../counter/state.js";
import { duration, number, rate, signed } from "../format.js";
import { now } from "../live/clock.js";
import { liveList } from "../live/list.js";
import { Spark } from "../parts/chart.js";
import { counterAddress, html } from "../ui.js";

// Disputed first, then by name. The same key as on the server.
function before(a, b) {
  const disputed = Boolean(b.disputed) - Boolean(a.disputed);
  if (disputed !== 0) return disputed;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

const Last = ({ row }) => row.last === null ? html`<span class="dim">not seen</span>`
  : html`<span class="mono">${signed(row.last.after - row.last.before)}</span> <span class="dim">${duration(now.value - row.changed)} ago</span>`;

// Only what calls for somebody flashes: in a busy list everything else would all the time.
const LOUD = new Set(["disputed", "unknown"]);

function Row({ source }) {
  const row = source.value;
  const state = stateAt(row, now.value, shell);
  const before_ = useRef(state);
  const loud = before_.current !== state && LOUD.has(state);
  if (before_.current !== state && !loud) before_.current = state;
  const by = row.last === null ? "" : row.last.actor || row.last.node;
  return html`<tr data-id=${row.id}>
    <td class="pm main"><a class="mono strong" href=${counterAddress(row.id)} title=${row.name}>${row.name}</a>${row.shards > 1 && html` <span class="under">${row.shards} shards</span>`}</td>
    <td class="ps"><span class=${loud ? "flash" : ""}><${CounterState} state=${state} /></span></td>
    <td class="r pb mono strong">${number(row.value)}</td>
    <td class="pa"><${Last} row=${row} /></td>
    <td class="cut mono who" title=${by}>${by}</td>
    <td class="sparkc"><${Spark} values=${series(row.rates, now.value).map(([, count]) => count)} /></td>
    <td class="r mono">${rate(rateAt(row.rates, now.value))}</td>
    <td class="r mono">${boundsOf(row, number) || html`<span class="dim">–</span>`}</td>
    <td><span class="tag line">${row.store}</span></td></tr>`;
}

liveList({ idOf: (row) => row.id, before, Row });
