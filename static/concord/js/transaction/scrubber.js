// Steps through the events: arrows, j and k, a slider, play. The place stands in the address.
import { signal } from "@preact/signals-core";
import { html, Icon } from "../ui.js";

const SPEEDS = [1, 4, 16];
const STEP_MS = 1200;
const TYPING = "input:not([type=range]), textarea, select";

const speed = signal(4);
const playing = signal(false);
let timer = 0;
let reach = { at: null, count: 0 };

function move(to) {
  const { at, count } = reach;
  at.value = to >= count ? null : Math.max(1, to);
  if (at.value === null) stop();
}

const here = () => reach.at.value ?? reach.count;

function stop() {
  playing.value = false;
  clearInterval(timer);
}

function play() {
  if (playing.value) {
    stop();
    return;
  }
  if (here() >= reach.count) move(1);
  playing.value = true;
  clearInterval(timer);
  timer = setInterval(() => move(here() + 1), STEP_MS / speed.value);
}

function accelerate(to) {
  speed.value = to;
  if (playing.value) {
    stop();
    play();
  }
}

addEventListener("keydown", (event) => {
  if (event.target.matches(TYPING) || event.metaKey || event.ctrlKey || event.altKey) return;
  if (document.querySelector("dialog[open]") !== null || reach.at === null) return;
  if (event.key === "j") move(here() - 1);
  if (event.key === "k") move(here() + 1);
});

export function Scrubber({ at, count, live }) {
  reach = { at, count };
  const place = live ? count : at.value;
  return html`<div class="scrub">
    <button class="ib" type="button" aria-label="Previous event" onClick=${() => move(here() - 1)}><${Icon} name="prev" extra="s" /></button>
    <button class="ib" type="button" aria-label=${playing.value ? "Pause" : "Play"} onClick=${play}><${Icon} name=${playing.value ? "pause" : "play"} extra="s" /></button>
    <button class="ib" type="button" aria-label="Next event" onClick=${() => move(here() + 1)}><${Icon} name="next" extra="s" /></button>
    <input type="range" min="1" max=${count} value=${place} aria-label="Event" onInput=${(event) => move(Number(event.currentTarget.value))} />
    <span class="pos">event ${place} of ${count}</span>
    <span class="seg hide">${SPEEDS.map((each) => html`<button type="button" aria-pressed=${String(each === speed.value)} onClick=${() => accelerate(each)}>${each}×</button>`)}</span></div>`;
}
