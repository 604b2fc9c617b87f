// One socket for the tab. It reconnects by itself and says how old what you see is.
import { signal, computed } from "@preact/signals-core";
import { shell } from "../boot.js";
import { learn } from "./clock.js";

const STALE_MS = 10_000;
const DEAD_MS = 16_000;
const RETRY_MS = 250;
const RETRY_MS_MAX = 10_000;
// Most outages are restarts: for a minute nobody waits longer than this.
const RETRY_MS_SOON = 2_500;
const SOON_MS = 60_000;
const CLOSE_SIGNED_OUT = 4401;
const CLOSE_FORBIDDEN = 4403;

export const seq = signal(shell.seq);
export const lag = signal(null);
export const rail = signal(null);

const open = signal(false);
const heardAt = signal(performance.now());
const blind = signal(false);
const clock = signal(performance.now());
const hidden = signal(false);

// connecting → live ⇄ stale, by what was last heard; paused while the tab is hidden.
export const silence = computed(() => Math.max(0, clock.value - heardAt.value));
export const standing = computed(() => {
  if (hidden.value) return "paused";
  if (open.value && !blind.value && silence.value < STALE_MS) return "live";
  return heardOnce ? "stale" : "connecting";
});

const topics = new Map();
let socket = null;
let heardOnce = false;
let attempt = 0;
let timer = 0;

export function subscribe(topic) {
  topics.set(topic.name, topic);
  say(topic.request);
}

function say(frame) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(frame));
}

function connect() {
  clearTimeout(timer);
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  socket = new WebSocket(`${scheme}://${location.host}${shell.socket}`);
  const mine = socket;
  socket.onopen = () => {
    for (const topic of topics.values()) {
      topic.lose();
      say(topic.request);
    }
    if (document.hidden) say({ t: "pause" });
  };
  socket.onmessage = (event) => mine === socket && hear(JSON.parse(event.data));
  socket.onclose = (event) => mine === socket && closed(event.code);
}

function hear(frame) {
  heardAt.value = clock.value = performance.now();
  open.value = heardOnce = true;
  attempt = 0;
  if (frame.server_time) learn(frame.server_time);
  if (frame.seq !== undefined) seq.value = Math.max(frame.t === "d" ? seq.value : 0, frame.seq);
  if (frame.t === "hb") {
    lag.value = frame.lag_ms;
    blind.value = frame.blind;
    rail.value = frame.rail;
  } else if (frame.t === "resync") {
    for (const topic of topics.values()) topic.lose();
  } else if (frame.topic) {
    deliver(frame);
  }
}

function deliver(frame) {
  const topic = topics.get(frame.topic);
  if (topic === undefined) return;
  if (frame.t === "err") topic.onError(frame.message);
  else if (!topic.take(frame)) say({ t: "resync", topic: topic.name });
}

function closed(code) {
  open.value = false;
  socket = null;
  if (code === CLOSE_SIGNED_OUT) {
    location.assign(`${shell.login}?next=${encodeURIComponent(location.pathname + location.search)}`);
    return;
  }
  if (code === CLOSE_FORBIDDEN) {
    location.reload();
    return;
  }
  // Full jitter: a thousand tabs must not come back in the same millisecond.
  const most = silence.peek() < SOON_MS ? RETRY_MS_SOON : RETRY_MS_MAX;
  const limit = Math.min(most, RETRY_MS * 2 ** attempt);
  attempt += 1;
  timer = setTimeout(connect, Math.random() * limit);
}

function again() {
  attempt = 0;
  if (socket === null) connect();
}

setInterval(() => {
  clock.value = performance.now();
  // A connection nobody answers on is dropped here; TCP may take minutes to notice.
  if (socket !== null && silence.value > DEAD_MS) {
    const dead = socket;
    closed(0);
    dead.close();
  }
}, 250);
addEventListener("online", again);
document.addEventListener("visibilitychange", () => {
  hidden.value = document.hidden;
  say({ t: document.hidden ? "pause" : "resume" });
  if (!document.hidden) again();
});
connect();
