// Preact bound to templates, and the style's atoms: icons, ids, states, votes.
import { h, render, Fragment } from "preact";
import htm from "htm";
import { shell } from "./boot.js";
import { duration } from "./format.js";

export const html = htm.bind(h);
export { render, Fragment };

const sprite = document.documentElement.dataset.icons;
const TAIL = 6;

export const Icon = ({ name, extra = "" }) =>
  html`<svg class=${`i ${extra}`.trim()} aria-hidden="true"><use href=${`${sprite}#${name}`} /></svg>`;

export const Gid = ({ gid }) =>
  html`<span class="id">${gid.slice(0, -TAIL)}<b>${gid.slice(-TAIL)}</b></span>`;

export const tail = (gid) => gid.slice(-TAIL);
export const address = (gid) => `${shell.transactions}${encodeURIComponent(gid)}/`;

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
