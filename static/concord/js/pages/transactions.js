// The live list of transactions.
import "@preact/signals";
import { useRef } from "preact/hooks";
import "../shell.js";
import { clock, duration } from "../format.js";
import { now } from "../live/clock.js";
import { liveList } from "../live/list.js";
import { address, Gid, html, Phase, State, stateAt } from "../ui.js";

// Unfinished first, oldest first; then the newest begun. The same key as on the server.
function before(a, b) {
  const unfinished = (a.ended === null) - (b.ended === null);
  if (unfinished !== 0) return -unfinished;
  const time = a.ended === null ? a.begun - b.begun : b.begun - a.begun;
  return time || (a.gid < b.gid ? -1 : 1);
}

const OUTCOMES = { committed: ["ok", "commit"], aborted: ["mid", "abort"] };

function Row({ source }) {
  const row = source.value;
  const moment = row.ended ?? now.value;
  const state = row.ended === null ? stateAt(row, moment) : row.state;
  const [hue, outcome] = OUTCOMES[row.outcome] ?? ["dim", "none yet"];
  const first = useRef(state);
  // Most go by within a second; only a change one could have waited for is worth a flash.
  if (first.current !== state) first.current = moment - row.begun > 1000 ? null : state;
  return html`<tr data-id=${row.gid}>
    <td class="ps"><span key=${state} class=${first.current === null ? "flash" : ""}><${State} state=${state} /></span></td>
    <td class="pm"><a href=${address(row.gid)}><${Gid} gid=${row.gid} /></a></td>
    <td><span class="mono">${row.name}</span></td>
    <td class="pa"><${Phase} marks=${row.marks} doubt=${state === "in_doubt"} label=${row.waits} /></td>
    <td class="cut"><span class=${row.ended === null ? "" : "dim"}>${row.waits}</span></td>
    <td class="r pb mono">${duration(moment - row.begun)}</td>
    <td><span class=${hue}>${outcome}</span></td>
    <td class="mono">${clock(Math.floor(row.begun))}</td></tr>`;
}

liveList({ idOf: (row) => row.gid, before, Row });
