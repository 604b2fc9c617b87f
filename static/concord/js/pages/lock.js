// One lock: who holds it, who waits, and what became of its grants.
import { computed, effect, signal } from "@preact/signals-core";
import "@preact/signals";
import "../shell.js";
import { data, shell } from "../boot.js";
import { clock, duration, number, span } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { endOf, howOf, layout, merged, tokenTail } from "../lock/lanes.js";
import { Lease, LockState, share, stateNow } from "../lock/parts.js";
import { Lanes } from "../lock/picture.js";
import { sentence } from "../lock/words.js";
import { follow } from "../parts/chart.js";
import { offerLink } from "../parts/copy.js";
import { watchHolders } from "../parts/dialog.js";
import { html, Icon, mount } from "../ui.js";

const WINDOWS = [["2 min", 120_000], ["1 h", 3_600_000]];
const NARROWEST = 420;

const row = signal(data.row);
const past = signal(data.grants);
const refusals = signal(data.refusals);
const windowMs = signal(WINDOWS[0][1]);
const width = signal(0);
const state = computed(() => stateNow(row.value));
const grants = computed(() => merged(row.value, past.value));
const nobody = computed(() => row.value.holding === 0);

const Pill = () => html`<span key=${state.value} class="flash"><${LockState} row=${row.value} state=${state.value} extra="pill" /></span>`;

function Sentence() {
  const [icon, hue, lead, sub] = sentence(row.value, state.value, now.value);
  return html`<div class="note" data-s=${hue}><${Icon} name=${icon} /><div><p class="lead">${lead}</p>${sub && html`<p class="sub">${sub}</p>`}</div></div>`;
}

const Window = () => html`<span class="seg">${WINDOWS.map(([text, ms]) => html`<button type="button" aria-pressed=${String(windowMs.value === ms)} onClick=${() => { windowMs.value = ms; }}>${text}</button>`)}</span>`;

const Legend = () => html`<span class="lg hide">${[["busy", "holds"], ["wait", "waits, or lost it"], ["idle", "ended"]].map(([hue, text]) => html`<span><svg viewBox="0 0 18 10" class="sw"><rect class=${`bar ${hue}`} width="18" height="9" rx="2" /></svg>${text}</span>`)}</span>`;

function LanesCard() {
  const head = html`<header><h2>Holders by token</h2><div class="r"><${Legend} /><${Window} /></div></header>`;
  if (width.value === 0) return html`${head}<div class="timeline-space"></div>`;
  const side = innerWidth <= 640 ? 108 : 148;
  const picture = layout({
    row: row.value, grants: grants.value, refusals: refusals.value, now: now.value,
    windowMs: windowMs.value, width: Math.max(NARROWEST, width.value - side),
  });
  const more = picture.more > 0 && html`<footer><span>${number(picture.more)} more, not drawn; the table has them</span></footer>`;
  if (picture.lanes.length === 0) return html`${head}<p class="pad dim">Nobody held it or waited in this time.</p>`;
  return html`${head}<${Lanes} picture=${picture} name=${row.value.name} />${more}`;
}

function Grant({ grant }) {
  const how = howOf(grant, now.value);
  const [word, icon, hue] = shell.words.grants[how] ?? shell.words.grants.released;
  const end = endOf(grant, now.value);
  const said = grant.actor ? `${grant.actor}: ${grant.reason}` : "";
  return html`<tr><td class="pm mono main">${grant.token}</td><td class="cut pa mono" title=${grant.owner}>${grant.owner}</td>
    <td class="mono">${clock(grant.granted)}</td><td class="mono">${end === null ? html`<span class="dim">–</span>` : clock(end)}</td>
    <td class="r pb mono">${span((end ?? now.value) - grant.granted)}</td><td class="r mono">${grant.waited === null ? "" : span(grant.waited)}</td>
    <td class="ps"><span class="st" data-s=${hue} title=${said}><${Icon} name=${icon} />${word}</span></td></tr>`;
}

const Grants = () => html`<table class="t ph2"><caption class="vh">Grants, the newest first</caption><thead><tr><th scope="col">Token</th><th scope="col" class="cut">Owner</th><th scope="col">Granted</th><th scope="col">Ended</th><th scope="col" class="r">Held</th><th scope="col" class="r">Waited</th><th scope="col">How</th></tr></thead>
  <tbody>${grants.value.length === 0 ? html`<tr><td class="pm dim">none yet</td><td></td><td></td><td></td><td></td><td></td><td></td></tr>`
    : grants.value.slice(0, data.grant_rows).map((grant) => html`<${Grant} key=${grant.token} grant=${grant} />`)}</tbody></table>`;

function Countdown({ holder }) {
  const left = holder.until_ms - now.value;
  const lease = holder.lease_ms ?? left;
  const unknown = state.value === "unknown";
  const hue = unknown ? "unknown" : state.value === "ending" ? "wait" : "busy";
  const renewed = holder.renewed_ms ? `renewed ${duration(now.value - holder.renewed_ms)} ago, ${holder.renewals === 1 ? "once" : `${holder.renewals} times`}` : "not renewed yet";
  const hero = unknown ? html`<b>?</b><span>nobody here knows what is left</span>`
    : left <= 0 ? html`<b class="num">0</b><span>s left: it ran out ${duration(-left)} ago</span>`
      : html`<b class="num">${left < 100_000 ? (left / 1000).toFixed(1) : number(left / 1000)}</b><span>s of ${number(lease / 1000)} s lease left</span>`;
  return html`<div class="pad"><div class="hero">${hero}</div>
    <svg class="leasebig" data-s=${hue} role="img" aria-label=${unknown ? "nobody knows" : `${duration(left)} of ${duration(lease)} left`}><rect width=${`${unknown ? 100 : share(left, lease).toFixed(1)}%`} height="10" rx="5" /></svg>
    <div class="scale"><span>${left > 0 ? "ends" : "ended"} ${clock(holder.until_ms).slice(0, 11)}</span><span>${renewed}</span></div></div>`;
}

function Details({ holder }) {
  const said = Object.entries(holder.metadata ?? {});
  return html`<div class="pad"><dl class="kv"><dt>Owner</dt><dd class="mono">${holder.owner}</dd><dt>Token</dt><dd class="mono">${holder.token}</dd>
    <dt>Acquired</dt><dd>${clock(holder.since_ms)}${holder.waited_ms !== null && `, waited ${span(holder.waited_ms)}`}</dd>
    ${holder.context && html`<dt>Held by</dt><dd class="mono">${holder.context}</dd>`}
    ${holder.node && html`<dt>Node</dt><dd class="mono">${holder.node}</dd>`}
    ${holder.revoked_ms && html`<dt>Asked back</dt><dd>${holder.revoke_reason || "yes"}; renewed until ${clock(holder.revoked_ms, false)}</dd>`}
    ${said.map(([name, value]) => html`<dt>${name}</dt><dd class="mono">${typeof value === "string" ? value : JSON.stringify(value)}</dd>`)}</dl></div>`;
}

const Several = ({ holder }) => html`<li key=${holder.id}><span><${Icon} name=${holder.state === "handed" ? "arrow" : "lock"} extra="s" /></span>
  <span class="who" title=${holder.owner}>${holder.owner}<small>${holder.token && tokenTail(holder.token)}</small></span>
  <${Lease} until=${holder.until_ms} lease=${holder.lease_ms} state=${state.value === "unknown" ? "unknown" : "held"} holding=${1} /></li>`;

function Holder() {
  const { holders, holding } = row.value;
  document.getElementById("holder-title").textContent = holding > 1 ? `${holding} holders` : "Holder";
  if (holders.length === 0) return html`<p class="pad dim">Nobody holds it.</p>`;
  if (holders.length > 1) return html`<ul class="queue">${holders.slice(0, data.queue_rows).map((holder) => html`<${Several} key=${holder.id} holder=${holder} />`)}</ul>`;
  return html`<${Countdown} holder=${holders[0]} /><${Details} holder=${holders[0]} />`;
}

function Queue() {
  const { waiters, waiting } = row.value;
  const rest = waiting - Math.min(waiting, data.queue_rows);
  document.getElementById("queue-count").textContent = waiting ? `${number(waiting)}, first come first served` : "";
  if (waiting === 0) return html`<p class="pad dim">Nobody waits.</p>`;
  return html`<ol class="queue">${waiters.slice(0, data.queue_rows).map((waiter, i) => html`<li key=${waiter.id}><span class="pos">${i + 1}</span>
    <span class="who" title=${waiter.owner}>${waiter.owner}<small>${waiter.mode}</small></span><span class="mid num">waits ${duration(now.value - (waiter.since_ms ?? now.value))}</span></li>`)}
    ${rest > 0 && html`<li><span></span><span class="dim">and ${number(rest)} more</span></li>`}</ol>`;
}

const Refusals = () => html`<ul class="att">${refusals.value.length === 0 ? html`<li class="none"><p>Nothing was refused.</p></li>`
  : refusals.value.map((refusal) => html`<li key=${`${refusal.at}${refusal.token}${refusal.what}`}><${Icon} name="fence" /><span class="strong">Stale ${refusal.verb}</span><time>${clock(refusal.at, false)}</time>
    <p><span class="mono">${refusal.owner || "A former holder"}</span> ${refusal.verb === "write" ? html`wrote <span class="mono">${refusal.what}</span>` : html`came for its ${refusal.verb}`} with token ${tokenTail(refusal.token)}${refusal.newer && ` after ${tokenTail(refusal.newer)} had written`}. Nothing changed.</p></li>`)}</ul>`;

mount("pill", Pill);
mount("sentence", Sentence);
mount("lanes", LanesCard);
mount("grants", Grants);
mount("holder", Holder);
mount("queue", Queue);
mount("refusals", Refusals);
const lanes = document.getElementById("lanes");
follow(lanes, (found) => {
  width.value = found;
  // What happens now is at the right end; who scrolls back stays there.
  requestAnimationFrame(() => { lanes.querySelector(".scroll")?.scrollTo({ left: width.value }); });
});

effect(() => {
  const { holders, waiters, p95 } = row.value;
  document.getElementById("mode").textContent = (holders[0] ?? waiters[0])?.mode ?? "nobody asks";
  document.getElementById("p95").textContent = p95 === null ? "not known yet" : span(p95);
});

// What cannot be done says why; what this person may never do said so from the beginning.
effect(() => {
  for (const what of ["ask", "force"]) {
    if (!shell.perms[what]) continue;
    const button = document.getElementById(`${what}-open`);
    button.disabled = nobody.value;
    button.title = nobody.value ? "Nobody holds it" : "";
  }
});

function held() {
  const { holders } = row.peek();
  const tokens = holders.map((holder) => holder.token).filter((token) => token !== null);
  const top = tokens.reduce((most, token) => (BigInt(token) > BigInt(most) ? token : most), "0");
  const owners = holders.map((holder) => holder.owner);
  return { tokens, owners: owners.length > 1 ? `${owners[0]} +${owners.length - 1}` : owners[0], confirm: top.slice(-6) };
}

watchHolders("ask", held);
watchHolders("force", held);

offerLink(document.getElementById("copy-link"));

function take(rows, agg) {
  if (rows.length) [row.value] = rows;
  if (agg.grants) past.value = agg.grants;
  if (agg.refusals) refusals.value = agg.refusals;
}

subscribe(new Topic(`lock:${data.key}`, {
  onSnap: (frame) => take(frame.rows, frame.agg),
  onDelta: (frame) => take(frame.up, frame.agg),
}));
