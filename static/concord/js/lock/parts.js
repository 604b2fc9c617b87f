// A lock's state and lease, drawn.
import { shell } from "../boot.js";
import { duration } from "../format.js";
import { now } from "../live/clock.js";
import { standing } from "../live/socket.js";
import { html, Icon } from "../ui.js";
import { stateAt, wordOf } from "./state.js";

// Without word from the server a lease may have been renewed: nobody here knows.
export function stateNow(row) {
  if (standing.value === "stale" && row.holding && !row.disputed) return "unknown";
  return stateAt(row, now.value, shell);
}

export function LockState({ row, state, extra = "" }) {
  const [word, icon, hue] = shell.words.locks[state];
  const picture = state === "held" ? shell.words.kinds[row.kind] ?? icon : icon;
  return html`<span class=${`st ${extra}`.trim()} data-s=${hue}><${Icon} name=${picture} />${wordOf(row, state, word)}</span>`;
}

export const share = (left, lease) => (lease > 0 ? Math.max(0, Math.min(100, (100 * left) / lease)) : 0);

// What is left of a lease, as a bar and a figure.
export function Lease({ until, lease, state, holding }) {
  if (state === "unknown") {
    return html`<span class="leasec"><svg class="lease" data-s="unknown" role="img" aria-label="nobody knows"><rect width="100%" height="6" rx="3" /></svg><span>silent</span></span>`;
  }
  const left = until === null ? 0 : until - now.value;
  if (!holding) return html`<span class="dim">last token</span>`;
  if (left <= 0) return html`<span class="dim">over for ${duration(-left)}</span>`;
  return html`<span class="leasec"><svg class="lease" data-s=${state === "ending" ? "wait" : "busy"} role="img" aria-label=${`${duration(left)} of lease left`}>
    <rect width=${`${share(left, lease).toFixed(1)}%`} height="6" rx="3" /></svg><span>${duration(left)}</span></span>`;
}
