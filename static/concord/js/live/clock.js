// The server's clock as this page sees it, ticking once a second.
import { signal } from "@preact/signals-core";
import { shell } from "../boot.js";

let offset = shell.server_time - Date.now();

export const serverNow = () => Date.now() + offset;
export const now = signal(serverNow());

// A frame that came late makes the server look slow, never fast: the largest difference is closest.
export function learn(serverTime) {
  const seen = serverTime - Date.now();
  offset = seen > offset || offset - seen > 2000 ? seen : offset - (offset - seen) * 0.05;
}

setInterval(() => { now.value = serverNow(); }, 1000);
