// A queue's state and rates, drawn.
import { shell } from "../boot.js";
import { duration, figure, number } from "../format.js";
import { now } from "../live/clock.js";
import { standing } from "../live/socket.js";
import { html, Icon } from "../ui.js";
import { stateAt } from "./state.js";

export const BUCKET_S = 10;

// Without word from the server nobody here knows how it stands.
export const stateNow = (row) =>
  standing.value === "stale" && !row.disputed ? "unknown" : stateAt(row, now.value, shell);

export function QueueState({ state, extra = "" }) {
  const [word, icon, hue, ended] = shell.words.queues[state];
  const cls = ["st", ended && !extra ? "end" : "", extra].filter(Boolean).join(" ");
  return html`<span class=${cls} data-s=${hue}><${Icon} name=${icon} />${word}</span>`;
}

export function MessageState({ state }) {
  const [word, icon, hue] = shell.words.messages[state] ?? [state, "unknown", "unknown"];
  return html`<span class="st" data-s=${hue}><${Icon} name=${icon} />${word}</span>`;
}

export const messageAddress = (store, id) => `${shell.messages}${encodeURIComponent(store)}/${encodeURIComponent(id)}`;

// Messages a second, of the last bucket that is over; null: not known.
export const rateOf = (counts) => (counts.length && counts.at(-1) !== null ? counts.at(-1) / BUCKET_S : null);
export const said = (rate) => (rate === null ? "–" : figure(rate));
export const ageOf = (row) => (row.oldest === null ? null : Math.max(0, now.value - row.oldest));

export const Count = ({ value, extra = "", name = "" }) =>
  html`<td class=${`r mono ${extra} ${value ? "" : "z"}`.trim()}>${value === null ? "–" : number(value)}${name && html`<span class="ponly"> ${name}</span>`}</td>`;

const line = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)},${y.toFixed(1)}`).join("");

// What goes out as a line over its area, what comes in dashed; where nothing is known, nothing.
export function Flow({ row, hue = "" }) {
  const { came, acked, counts } = row;
  const width = 200, height = 20, count = Math.max(came.length, acked.length);
  if (count < 2) return html`<span class="dim">${counts ? "no rates yet" : "not counted there"}</span>`;
  const top = Math.max(1, ...came.map((each) => each ?? 0), ...acked.map((each) => each ?? 0));
  const at = (values) => values.map((value, i) => [(i * (width - 3)) / (count - 1), height - 2 - ((value ?? 0) / top) * (height - 4)]);
  const out = at(acked);
  const [x, y] = out.at(-1);
  return html`<svg class="spark flow" viewBox=${`0 0 ${width} ${height}`} preserveAspectRatio="none" data-s=${hue} aria-hidden="true">
    <path class="a" d=${`${line(out)}L${x},${height}L0,${height}Z`} /><path class="two" d=${line(at(came))} vector-effect="non-scaling-stroke" />
    <path d=${line(out)} vector-effect="non-scaling-stroke" /><path class="dot" d=${`M${x},${y}h0`} vector-effect="non-scaling-stroke" /></svg>`;
}

export const Oldest = ({ row }) => {
  const age = ageOf(row);
  return age === null ? html`<span class="dim">–</span>` : duration(age);
};
