// The live list of queues.
import "@preact/signals";
import { useRef } from "preact/hooks";
import "../shell.js";
import { liveList } from "../live/list.js";
import { ageOf, Count, Flow, Oldest, QueueState, rateOf, said, stateNow } from "../queue/parts.js";
import { html, queueAddress } from "../ui.js";

const ARRANGE_MS = 1000;

// What needs somebody first, then by name. The same key as on the server.
function before(a, b) {
  if (a.rank !== b.rank) return a.rank - b.rank;
  if (a.name !== b.name) return a.name < b.name ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

// Only what calls for somebody flashes.
const LOUD = new Set(["disputed", "unknown", "dead", "paused", "backing_up"]);
const HUES = { backing_up: "wait", disputed: "bad" };

function Row({ source }) {
  const row = source.value;
  const state = stateNow(row);
  const before_ = useRef(state);
  const loud = before_.current !== state && LOUD.has(state);
  if (before_.current !== state && !loud) before_.current = state;
  return html`<tr data-id=${row.id}>
    <td class="pm main cut"><a class="mono strong" href=${queueAddress(row.store, row.name)} title=${row.name}>${row.name}</a></td>
    <td class="ps"><span class=${loud ? "flash" : ""}><${QueueState} state=${state} /></span></td>
    <${Count} value=${row.ready} extra="pb" name="ready" /><${Count} value=${row.counts || row.in_flight ? row.in_flight : null} /><${Count} value=${row.delayed} />
    <${Count} value=${row.dead} extra=${row.dead ? "deadn" : ""} />
    <td class=${`r mono ${ageOf(row) === null ? "z" : ""}`.trim()}><${Oldest} row=${row} /></td>
    <td class="flowc"><${Flow} row=${row} hue=${HUES[state] ?? ""} /></td>
    <td class="r mono">${said(rateOf(row.came))} / ${said(rateOf(row.acked))}</td>
    <td class="pa"><span class="tag line">${row.store}</span></td></tr>`;
}

liveList({ idOf: (row) => row.id, before, Row, arrangeMs: ARRANGE_MS });
