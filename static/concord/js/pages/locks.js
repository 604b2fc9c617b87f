// The live list of locks.
import "@preact/signals";
import { useRef } from "preact/hooks";
import "../shell.js";
import { span } from "../format.js";
import { liveList } from "../live/list.js";
import { Lease, LockState, stateNow } from "../lock/parts.js";
import { html, lockAddress } from "../ui.js";

// Queues grow and shrink all the time; rows that change places cannot be read.
const ARRANGE_MS = 1000;

// Disputed first, then the longest queue, then by name. The same key as on the server.
function before(a, b) {
  const disputed = Boolean(b.disputed) - Boolean(a.disputed);
  if (disputed !== 0) return disputed;
  if (a.waiting !== b.waiting) return b.waiting - a.waiting;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

const Holder = ({ row }) => {
  if (row.holding === 0) return html`<span class="dim">no holder</span>`;
  const more = row.holding > 1 ? ` +${row.holding - 1}` : "";
  return html`<span class="mono" title=${row.owner}>${row.owner}${more}</span>`;
};

const Queue = ({ row }) => row.waiting === 0 ? html`<span class="dim">none</span>`
  : html`<b class="strong num">${row.waiting}</b> waiting, next <span class="mono">${row.next}</span>`;

// Only what calls for somebody flashes: in a busy list everything else would all the time.
const LOUD = new Set(["disputed", "unknown"]);

function Row({ source }) {
  const row = source.value;
  const state = stateNow(row);
  const before_ = useRef(state);
  const loud = before_.current !== state && LOUD.has(state);
  if (before_.current !== state && !loud) before_.current = state;
  return html`<tr data-id=${row.id}>
    <td class="pm main"><a class="mono strong" href=${lockAddress(row.id)} title=${row.name}>${row.name}</a>${row.kind !== "lock" && html` <span class="under">${row.kind}</span>`}</td>
    <td class="ps"><span class=${loud ? "flash" : ""}><${LockState} row=${row} state=${state} /></span></td>
    <td class="pa who"><${Holder} row=${row} /></td>
    <td class="mono">${row.token}</td>
    <td><${Lease} until=${row.until} lease=${row.lease} state=${state} holding=${row.holding} /></td>
    <td class="cut pb"><${Queue} row=${row} /></td>
    <td class="r mono">${row.p95 === null ? html`<span class="dim">–</span>` : span(row.p95)}</td>
    <td><span class="tag line">${row.store}</span></td></tr>`;
}

liveList({ idOf: (row) => row.id, before, Row, arrangeMs: ARRANGE_MS });
