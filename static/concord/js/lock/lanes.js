// Who held a lock and who waits, on one axis of time, as numbers for one width. Pure.
import { duration, clock } from "../format.js";
import { Places } from "../transaction/axis.js";

export const LANE = 44, HEAD = 28, BAR = 20, THIN = 14;
const LEFT = 14, RIGHT = 26, LANES_MAX = 10, LETTER = 6.4, STEPS = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800];
const ORDINALS = ["1st", "2nd", "3rd"];

export const middle = (lane) => HEAD + lane * LANE + LANE / 2;
export const tokenTail = (token) => `…${token.slice(-4)}`;

// When a grant ended; a lease nobody asked for again ends unsaid.
export const endOf = (grant, now) => grant.ended ?? (grant.until <= now ? grant.until : null);
export const howOf = (grant, now) => (grant.ended !== null ? grant.how || "released" : grant.until <= now ? "expired" : "held");

// The record's holders are newer than the grants that were read: they come on top.
export function merged(row, grants) {
  const known = new Map(grants.map((grant) => [grant.token, grant]));
  for (const holder of row?.holders ?? []) {
    const grant = known.get(holder.token);
    known.set(holder.token, {
      token: holder.token, owner: holder.owner, mode: holder.mode, granted: holder.since_ms,
      until: holder.until_ms, ended: null, how: "", waited: holder.waited_ms ?? grant?.waited ?? null, actor: "", reason: "",
    });
  }
  const held = new Set((row?.holders ?? []).map((holder) => holder.token));
  const size = (a, b) => (BigInt(a.token) < BigInt(b.token) ? 1 : -1);
  // One that is held no more, though its end was not read yet, ended at the latest when the record changed.
  return [...known.values()].map((grant) => held.has(grant.token) || grant.ended !== null || row === null ? grant
    : { ...grant, ended: Math.max(grant.granted, Math.min(grant.until, row.changed)), how: grant.how }).sort(size);
}

function order(row, grants, start, now) {
  const lanes = new Map();
  const add = (owner, note) => {
    if (!lanes.has(owner)) lanes.set(owner, { name: owner, note });
  };
  for (const holder of row.holders) add(holder.owner, holder.state === "handed" ? "handed over" : "holder now");
  row.waiters.forEach((waiter, i) => add(waiter.owner, `${ORDINALS[i] ?? `${i + 1}th`} in line`));
  for (const grant of grants) if ((endOf(grant, now) ?? now) >= start) add(grant.owner, "held before");
  return [...lanes.values()];
}

function ticks(start, now, x, width) {
  const room = Math.max(2, Math.floor(width / 100));
  const step = (STEPS.find((each) => (now - start) / 1000 / each <= room) ?? 3600) * 1000;
  const found = [];
  for (let at = Math.ceil(start / step) * step; at <= now; at += step) {
    if (x(at) - LEFT > 26 && x(now) - x(at) > 40) found.push({ x: x(at), text: clock(at, false) });
  }
  return found;
}

const HUES = { held: "busy", released: "idle", expired: "wait", forced: "wait" };

export function layout({ row, grants, refusals, now, windowMs, width }) {
  const start = now - windowMs;
  const right = width - RIGHT;
  const x = (at) => LEFT + ((Math.max(start, Math.min(now, at)) - start) / windowMs) * (right - LEFT);
  const every = order(row, grants, start, now);
  const lanes = every.slice(0, LANES_MAX);
  const place = new Map(lanes.map((lane, i) => [lane.name, i]));
  const bars = [], marks = [], small = [];
  const places = new Places();
  // A label beside what it is about, on the side where nothing stands; else only its title says it.
  const label = (lane, left, after, text) => {
    const y = middle(lane);
    if (after + text.length * LETTER < right && places.claim(after, y, text.length)) return ["start", after];
    const begin = left - text.length * LETTER;
    return begin > LEFT && places.claim(begin, y, text.length) ? ["end", left] : null;
  };
  for (const grant of grants) {
    const lane = place.get(grant.owner);
    const end = endOf(grant, now);
    if (lane === undefined || (end ?? now) < start) continue;
    const how = howOf(grant, now);
    const from = x(grant.granted), to = end === null ? x(now) : x(end);
    const text = tokenTail(grant.token);
    const inside = to - from > text.length * LETTER + 26;
    places.claim(from, middle(lane), (to - from) / LETTER);
    if (!inside) small.push({ key: `l${grant.token}`, lane, from, to, text });
    bars.push({
      key: `g${grant.token}`, lane, x: from, width: Math.max(3, to - from), height: BAR, hue: HUES[how] ?? "idle",
      icon: how === "held" ? "lock" : how === "expired" ? "clock" : how === "forced" ? "bolt" : null,
      text: inside ? text : "", title: `token ${grant.token}, ${grant.owner}: ${how} ${end === null ? "now" : clock(end)}`,
    });
  }
  row.waiters.forEach((waiter) => {
    const lane = place.get(waiter.owner);
    if (lane === undefined) return;
    const from = x(waiter.since_ms ?? now);
    const text = `waits ${duration(now - (waiter.since_ms ?? now))}`;
    const fits = from - LEFT > text.length * LETTER + 8 && places.claim(from - 6 - text.length * LETTER, middle(lane), text.length + (x(now) - from) / LETTER);
    bars.push({ key: `w${waiter.id}`, lane, x: from, width: Math.max(3, x(now) - from), height: THIN, hue: "wait", icon: null, text: "", title: text });
    if (fits) marks.push({ key: `t${waiter.id}`, lane, x: from - 6, text, hue: "wait", anchor: "end" });
  });
  for (const refusal of refusals) {
    const lane = place.get(refusal.owner);
    if (lane === undefined || refusal.at < start) continue;
    const at = x(refusal.at);
    const title = `${refusal.verb} with ${tokenTail(refusal.token)} refused`;
    const short = `${tokenTail(refusal.token)} refused`;
    places.claim(at - 7, middle(lane), 14 / LETTER);
    const sides = [at - 16, at + 16];
    const [text, side] = [title, short].map((each) => [each, label(lane, ...sides, each)]).find(([, found]) => found !== null) ?? ["", null];
    const [anchor, textX] = side ?? ["start", 0];
    marks.push({ key: `r${refusal.at}${refusal.token}${refusal.what}`, lane, at, icon: "fence", title, text, hue: "", anchor, x: textX });
  }
  for (const { key, lane, from, to, text } of small) {
    const [anchor, textX] = label(lane, from - 9, to + 9, text) ?? [null, 0];
    if (anchor !== null) marks.push({ key, lane, text, hue: "mono", anchor, x: textX });
  }
  return { lanes, bars, marks, ticks: ticks(start, now, x, width), now: x(now), width, height: HEAD + Math.max(1, lanes.length) * LANE, more: every.length - lanes.length };
}
