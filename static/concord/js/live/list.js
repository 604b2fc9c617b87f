// A live list. Rows change in place; the order waits while somebody points at the list, has the
// focus in it, or holds it. However fast frames come, they are taken in once a picture, and only
// the rows of the page exist.
import { batch, signal } from "@preact/signals-core";
import { data, shell } from "../boot.js";
import { capped, number } from "../format.js";
import { subscribe } from "./socket.js";
import { Topic } from "./topic.js";
import { html, render } from "../ui.js";

const said = (count) => (data.count_max === null ? number(count) : capped(count, data.count_max));

// What some count that others count, too, adds nothing to the number of all.
const whole = (counts) => Object.entries(counts)
  .reduce((sum, [key, count]) => (data.beside.includes(key) ? sum : sum + count), 0);

// `idOf` and `before` name and sort rows as the server does; `Row` gets the signal of one row;
// rows change places at most once in `arrangeMs`. The rest is in the page's data.
export function liveList({ idOf, before, Row, arrangeMs = 0 }) {
  const body = document.getElementById("rows");
  const empty = document.getElementById("empty");
  const waiting = document.getElementById("waiting");
  const holdButton = document.getElementById("hold");
  const rows = new Map(); // id → signal of the row
  const kept = new Map(); // rows still shown although they left, while the order is held
  const order = signal([]);
  let held = false, pointed = false, arrangedAt = -Infinity, timer = 0;
  let frames = [];

  function arrange() {
    arrangedAt = performance.now();
    const all = [...rows.values()].map((row) => row.peek()).sort(before);
    for (const row of all.splice(shell.page_rows)) rows.delete(idOf(row));
    const ids = all.map(idOf);
    if (ids.join("\n") !== order.peek().join("\n")) order.value = ids;
    waiting.hidden = true;
    empty.hidden = all.length > 0;
    document.getElementById("shown").textContent = `${all.length} shown, ${data.order}`;
  }

  function rearrange() {
    if (held || pointed || body.contains(document.activeElement)) {
      const known = new Set(order.peek());
      const fresh = [...rows.keys()].filter((id) => !known.has(id)).length;
      waiting.textContent = `${number(fresh)} newer held back`;
      waiting.hidden = fresh === 0;
      return;
    }
    const early = arrangeMs - (performance.now() - arrangedAt);
    if (early <= 0) arrange();
    else if (timer === 0) timer = setTimeout(() => { timer = 0; rearrange(); }, early);
  }

  function put(row) {
    const known = rows.get(idOf(row));
    if (known === undefined) rows.set(idOf(row), kept.has(idOf(row)) ? renewed(kept.get(idOf(row)), row) : signal(row));
    else if (known.peek().v <= row.v) known.value = row;
  }

  function renewed(source, row) {
    source.value = row;
    return source;
  }

  function take(frame) {
    if (frame.t === "snap") {
      const present = new Set(frame.rows.map(idOf));
      for (const id of rows.keys()) if (!present.has(id)) rows.delete(id);
      frame.rows.forEach(put);
    } else {
      frame.up.forEach(put);
      // While held, a row that left the filter stays to be looked at; it goes with the next order.
      for (const id of frame.del) rows.delete(id);
    }
  }

  function figures(frame) {
    document.getElementById("asof").textContent = `as of seq ${number(frame.seq)}`;
    const counts = frame.agg.counts;
    if (!counts || Object.keys(counts).length === 0) return;
    for (const facet of document.querySelectorAll("#facets a")) {
      const { key } = facet.dataset;
      facet.querySelector(".n").textContent = said(key === "" ? whole(counts) : counts[key]);
    }
  }

  function catchUp() {
    const some = frames;
    frames = [];
    batch(() => {
      some.forEach(take);
      rearrange();
    });
    const told = some.findLast((frame) => frame.agg.counts) ?? some.at(-1);
    figures({ seq: some.at(-1).seq, agg: told.agg });
  }

  function hear(frame) {
    frames.push(frame);
    if (frames.length === 1) requestAnimationFrame(catchUp);
  }

  function Rows() {
    const shown = order.value;
    for (const id of kept.keys()) if (!shown.includes(id)) kept.delete(id);
    return shown.map((id) => {
      const source = rows.get(id) ?? kept.get(id);
      kept.set(id, source);
      return html`<${Row} key=${id} source=${source} />`;
    });
  }

  if (!data.live) {
    document.getElementById("asof").textContent += ", not live: only the first page is";
    return;
  }
  data.rows.forEach(put);
  arrange();
  body.replaceChildren();
  render(html`<${Rows} />`, body);
  body.addEventListener("pointerenter", (event) => { pointed = event.pointerType === "mouse"; });
  body.addEventListener("pointerleave", () => { pointed = false; rearrange(); });
  body.addEventListener("focusout", () => setTimeout(rearrange));
  holdButton.addEventListener("click", () => {
    held = !held;
    holdButton.setAttribute("aria-pressed", String(held));
    holdButton.querySelector("span").textContent = held ? "Follow" : "Hold still";
    rearrange();
  });
  subscribe(new Topic(data.list, { filter: data.filter, onSnap: hear, onDelta: hear }));
}
