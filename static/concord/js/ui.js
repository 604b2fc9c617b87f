// Preact bound to templates, and the style's atoms: icons, ids, states, votes.
import { h, render, Fragment } from "preact";
import htm from "htm";
import { shell } from "./boot.js";
import { duration } from "./format.js";

export const html = htm.bind(h);
export { render, Fragment };

// Puts a view in the place of what the server rendered there.
export function mount(id, view) {
  const spot = document.getElementById(id);
  spot.replaceChildren();
  render(html`<${view} />`, spot);
}

const sprite = document.documentElement.dataset.icons;
const TAIL = 6;

export const Icon = ({ name, extra = "" }) =>
  html`<svg class=${`i ${extra}`.trim()} aria-hidden="true"><use href=${`${sprite}#${name}`} /></svg>`;

export const Gid = ({ gid }) =>
  html`<span class="id">${gid.slice(0, -TAIL)}<b>${gid.slice(-TAIL)}</b></span>`;

export const tail = (gid) => gid.slice(-TAIL);
export const address = (gid) => `${shell.transactions}${encodeURIComponent(gid)}/`;

// A name with such a part would not arrive as it is: browsers and servers resolve paths.
const ODD = new Set(["", ".", ".."]);

// The page of a lock by its key, `store kind name`; the same as `addresses.py`.
export function lockAddress(key) {
  const [store, kind] = key.split(" ", 2);
  const name = key.slice(store.length + kind.length + 2);
  const start = `${shell.locks}${encodeURIComponent(store)}/${kind}/`;
  const parts = name.split("/");
  if (parts.some((part) => ODD.has(part))) return `${start}?name=${encodeURIComponent(name)}`;
  return start + parts.map(encodeURIComponent).join("/");
}

export const keyName = (key) => key.split(" ").slice(2).join(" ") || key;

// The page of a counter or a queue by its key, `store name`; behind it may stand the number of a row.
function namedAddress(start, key) {
  const [store, name] = key.split(" ");
  const whole = `${start}${encodeURIComponent(store)}/`;
  const parts = name.split("/");
  if (parts.some((part) => ODD.has(part))) return `${whole}?name=${encodeURIComponent(name)}`;
  return whole + parts.map(encodeURIComponent).join("/");
}

export const counterAddress = (key) => namedAddress(shell.counters, key);
export const queueAddress = (store, name) => namedAddress(shell.queues, `${store} ${name}`);

// What an event or an intervention is about: where it is, and what it is called.
const second = (key) => key.split(" ")[1] ?? key;
const ADDRESSES = { lock: lockAddress, counter: counterAddress, queue: (key) => namedAddress(shell.queues, key) };
const NAMES = { lock: keyName, counter: second, queue: second };
export const addressOf = (object, name) => (ADDRESSES[object] ?? address)(name);
export const nameOf = (object, name) => (NAMES[object] ?? tail)(name);
export const Named = ({ object, name }) =>
  NAMES[object] ? html`<span class="mono">${nameOf(object, name)}</span>` : html`<${Gid} gid=${name} />`;

// State = icon + word + colour. A finished row keeps a coloured icon and loses the coloured word.
export const State = ({ state, extra = "" }) => {
  const [word, icon, hue, ended] = shell.words.states[state];
  const cls = ["st", ended && !extra ? "end" : "", extra].filter(Boolean).join(" ");
  return html`<span class=${cls} data-s=${hue}><${Icon} name=${icon} />${word}</span>`;
};

export const VerdictState = ({ state, extra = "" }) => {
  const [icon, hue] = shell.words.verdicts[state];
  return html`<span class=${`st caps ${extra}`} data-s=${hue}><${Icon} name=${icon} />${state}</span>`;
};

const BOX = { "-": "" };
const boxes = (marks) => [...marks].map((mark) => html`<i class=${BOX[mark] ?? mark}></i>`);

// Votes, decision, ends: `yy|c|cc`.
export const Phase = ({ marks, doubt, label }) => {
  const [votes, decision, ends] = marks.split("|");
  return html`<span class=${decision ? "phase done" : "phase"} role="img" aria-label=${label} title=${label}>
    ${boxes(votes)}<span class=${`d ${decision || (doubt ? "q" : "")}`}></span>${boxes(ends)}</span>`;
};

// Prepared and undecided for long enough is in doubt; only a clock can tell.
export const stateAt = (row, now) =>
  row.prepared != null && now - row.prepared > shell.in_doubt_ms ? "in_doubt" : row.state;

export const Ago = ({ ms, now }) => html`${duration(now - ms)} ago`;
