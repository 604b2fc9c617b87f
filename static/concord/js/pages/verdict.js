// A verdict's page: the words and freshness follow the clock; new evidence comes with a reload of it.
import { effect, signal } from "@preact/signals-core";
import "@preact/signals";
import "../shell.js";
import { data, shell } from "../boot.js";
import { clock, duration, number } from "../format.js";
import { now } from "../live/clock.js";
import { subscribe } from "../live/socket.js";
import { Topic } from "../live/topic.js";
import { watchAcknowledge } from "../parts/dialog.js";
import { verdictAt } from "../parts/verdict.js";
import { html, Icon, render, VerdictState } from "../ui.js";

const verdict = signal(data.verdict);
const known = data.violations.filter((violation) => violation.acknowledged === null).length;

function sentence(state, { name, checked, violations, reason, at, period }) {
  const words = shell.words.promises[name];
  const count = number(checked);
  if (state === "VIOLATED") {
    const fresh = violations > known ? " Reload to see the newest." : "";
    return `${violations} violation${violations === 1 ? " is" : "s are"} open among ${count} ${words.counted}.${fresh}`;
  }
  if (state === "HOLDS") return `All ${count} ${words.checked}.`;
  if (state === "CHECKING") return `The auditor is catching up: ${reason}.`;
  if (at !== null && now.value - at > 2 * period) return `The auditor has been silent for ${duration(now.value - at)}.`;
  return `Nothing can be said: ${reason}.`;
}

const pill = document.getElementById("pill");
const box = document.getElementById("sentence");
pill.replaceChildren();
box.replaceChildren();
effect(() => {
  const record = verdict.value;
  const state = verdictAt(record, now.value);
  const [icon, hue] = shell.words.verdicts[state];
  render(html`<${VerdictState} state=${state} extra="pill" />`, pill);
  render(html`<div class="note" data-s=${hue}><${Icon} name=${icon} /><div><p class="lead">${sentence(state, record)}</p><p class="sub">The promise: ${record.claim}</p></div></div>`, box);
  document.getElementById("checked").textContent =
    record.at === null ? "never" : `${clock(record.at, false)}, ${duration(now.value - record.at)} ago`;
});

const take = (frame) => {
  const fresh = frame.agg.verdicts?.find(({ name }) => name === verdict.peek().name);
  if (fresh) verdict.value = fresh;
};
subscribe(new Topic("overview", { onSnap: take, onDelta: take }));
watchAcknowledge();
