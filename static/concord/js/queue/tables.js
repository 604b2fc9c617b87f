// The tables of one queue: dead letters, in flight, the latest messages, sweeps.
import { shell } from "../boot.js";
import { clock, duration, number } from "../format.js";
import { now } from "../live/clock.js";
import { Lease } from "../lock/parts.js";
import { html, Icon } from "../ui.js";
import { messageAddress, MessageState } from "./parts.js";
import { sweepWords } from "./words.js";

const Named = ({ store, id }) => html`<a class="mono" href=${messageAddress(store, id)} title=${id}>${id}</a>`;
const Cell = ({ at }) => html`<td class="mono">${at === null ? html`<span class="dim">–</span>` : clock(at, false)}</td>`;
const nothing = (columns, said) => html`<tr><td class="pm dim">${said}</td>${Array.from({ length: columns - 1 }, () => html`<td></td>`)}</tr>`;

export const Letters = ({ letters, store, dead }) => html`<table class="t ph2"><caption class="vh">Dead letters, the newest first</caption>
  <thead><tr><th scope="col">Message</th><th scope="col" class="r">Tries</th><th scope="col">Died</th><th scope="col" class="cut">Last error</th></tr></thead>
  <tbody>${letters.length === 0 ? nothing(4, dead ? "none that events told of here" : "none")
    : letters.map((each) => html`<tr key=${each.id}><td class="pm main mid"><${Named} store=${store} id=${each.id} /></td><td class="r mono pb">${each.attempts || "–"}<span class="ponly"> tries</span></td>
      <td class="mono ps">${clock(each.published, false)}</td><td class="cut pa" title=${each.error}>${each.error || html`<span class="dim">not known</span>`}</td></tr>`)}</tbody></table>`;

export const Flight = ({ flight, store, none }) => html`<table class="t ph2"><caption class="vh">In flight, the lease that ends first first</caption>
  <thead><tr><th scope="col">Message</th><th scope="col" class="r">Try</th><th scope="col" class="cut">Taker</th><th scope="col">Taken</th><th scope="col">Lease</th></tr></thead>
  <tbody>${flight.length === 0 ? nothing(5, none)
    : flight.map((each) => html`<tr key=${each.id}><td class="pm main mid"><${Named} store=${store} id=${each.id} /></td><td class="r mono">${each.attempts}</td>
      <td class="cut pa mono" title=${each.taker}>${each.node || "unknown"}<span class="dim"> ${each.taker.slice(-6)}</span></td><td class="mono">${clock(each.taken, false)}</td>
      <td class="pb"><${Lease} until=${each.until} lease=${each.lease} state=${ending(each)} holding=${1} /></td></tr>`)}</tbody></table>`;

// A lease that nobody extends will come to its end: below a quarter it is amber.
function ending({ until, lease }) {
  const left = (until ?? 0) - now.value;
  return left > 0 && left < Math.min(shell.ending_ms, (lease ?? 0) * shell.ending_share) ? "ending" : "held";
}

export const Latest = ({ latest, store }) => html`<table class="t ph2"><caption class="vh">The latest messages, the newest first</caption>
  <thead><tr><th scope="col">Message</th><th scope="col">Stands</th><th scope="col" class="r">Tries</th><th scope="col">Came</th><th scope="col">Ended</th><th scope="col" class="cut">Last error</th></tr></thead>
  <tbody>${latest.length === 0 ? nothing(6, "none yet")
    : latest.map((each) => html`<tr key=${each.id}><td class="pm main mid"><${Named} store=${store} id=${each.id} /></td><td class="ps"><${MessageState} state=${each.state} /></td><td class="r mono">${each.attempts}</td>
      <${Cell} at=${each.published} /><${Cell} at=${each.ended} /><td class="cut pa" title=${each.error}>${each.error}</td></tr>`)}</tbody></table>`;

const percent = ({ done, at_most: most, state }) => (state === "done" ? 100 : Math.min(100, (100 * done) / Math.max(1, most)));

const Bar = ({ sweep, hue }) => html`<svg class="leasebig" data-s=${hue} role="progressbar" aria-label=${sweepWords(sweep).join(": ")}
  aria-valuemin="0" aria-valuemax="100" aria-valuenow=${Math.round(percent(sweep))}><rect width=${`${percent(sweep).toFixed(1)}%`} height="10" rx="5" /></svg>`;

function submit(id, op) {
  const form = document.getElementById(id);
  form.elements.op.value = op;
  form.requestSubmit();
}

const STUCK_MS = 10_000;

// What runs, and what stands still and may go on.
export function Sweeping({ sweeps }) {
  const open = sweeps.filter((each) => each.state === "running" || (each.state === "stopped" && each.error));
  return open.map((each) => {
    const [doing, far] = sweepWords(each);
    const running = each.state === "running";
    const quiet = running && now.value - each.stepped > STUCK_MS;
    const said = each.error ? `${each.error}. ${running ? "It is tried again." : ""}`
      : quiet ? `Nothing moved for ${duration(now.value - each.stepped)}: it goes on as soon as a sweeper runs.` : "It goes on by itself, whether or not this page stays open.";
    return html`<div class="note" key=${each.op} data-s=${each.error || quiet ? "wait" : "busy"}><${Icon} name=${running ? "busy" : "pause"} />
      <div class="wide"><p class="lead">${doing}: ${far}.</p><${Bar} sweep=${each} hue=${each.error || quiet ? "wait" : "busy"} />
      <p class="sub">${said} Ordered ${clock(each.began, false)} by ${each.actor}: ${each.reason}</p></div>
      ${shell.perms.pause && html`<div class="acts">${(!running || quiet) && html`<button class="btn" type="button" onClick=${() => submit("go-on", each.op)}>Go on</button>`}
        ${running && html`<button class="btn" type="button" onClick=${() => submit("stop", each.op)}>Stop</button>`}</div>`}</div>`;
  });
}

export function Sweeps({ sweeps }) {
  if (sweeps.length === 0) return html`<p class="pad dim">Nothing was redriven, moved or purged by hand.</p>`;
  return html`<ul class="att">${sweeps.map((each) => {
    const [word, icon, hue] = shell.words.sweeps[each.state];
    const [, far] = sweepWords(each);
    const ended = each.state === "stopped" && each.ended_by ? ` by ${each.ended_by}` : "";
    return html`<li key=${each.op} data-s=${hue}><${Icon} name=${icon} /><span class="strong">${capital(each.verb)}${each.to && ` to ${each.to}`}</span><time>${clock(each.began, false)}</time>
      <p>${word}${ended}: ${far}. ${each.actor}: ${each.reason}</p>${each.error && html`<p class="err">${each.error}</p>`}</li>`;
  })}</ul>`;
}

const capital = (text) => text[0].toUpperCase() + text.slice(1);

const CAME = [["published", "Published"], ["moved_in", "Moved in"], ["redriven", "Redriven"]];
const WENT = [["acked", "Acked"], ["died", "Died"], ["expired", "Expired"], ["purged", "Purged"], ["moved_out", "Moved away"]];

// What came is somewhere, to the message: every figure of one sample, taken in one step.
export function Sheet({ row }) {
  const { totals } = row;
  if (!totals) return html`<p class="dim">Store ${row.store} counts no totals: what became of each message is not known here.</p>`;
  const some = (words, always) => words.filter(([word]) => totals[word] || word === always);
  const went = some(WENT, "acked").map(([word, text]) => [text, totals[word]]);
  const here = [["Ready", row.ready], ["Delayed", row.delayed], ["In flight", row.in_flight]];
  const came = some(CAME, "published").map(([word, text]) => [text, totals[word]]);
  const sum = (lines) => lines.reduce((total, [, n]) => total + n, 0);
  const Line = ([text, n]) => html`<div><dt>${text}</dt><dd>${number(n)}</dd></div>`;
  return html`<dl class="sheet">${[...went, ...here].map(Line)}<div class="sum"><dt>Accounted for</dt><dd>${number(sum([...went, ...here]))}</dd></div>
    ${came.map(Line)}<div class=${`sum ${row.missing ? "off" : ""}`.trim()}><dt>${row.missing < 0 ? "Too many" : "Missing"}</dt><dd>${number(Math.abs(row.missing))}</dd></div></dl>`;
}
