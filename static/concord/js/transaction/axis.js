// Time along the picture: close moments stay apart, long idle stretches fold. Pure.
import { span, tick } from "../format.js";

const LEFT = 16, STEP = 34, FOLD = 68, FOLD_FROM = 1000, LETTER = 6.4, PAD = 4;

// `tail` is the room after the last moment, for the labels of what ended there.
export function axis(times, width, tail) {
  const moments = [...new Set(times)].sort((a, b) => a - b);
  const gaps = moments.slice(1).map((time, i) => time - moments[i]);
  const typical = [...gaps].sort((a, b) => a - b)[Math.floor(gaps.length / 2)] ?? 0;
  const limit = Math.max(FOLD_FROM, typical * 12);
  const folded = gaps.map((gap) => gap > limit);
  const open = gaps.filter((_, i) => !folded[i]);
  const fixed = LEFT + tail + folded.filter(Boolean).length * (FOLD + STEP) + open.length * STEP;
  const scale = Math.max(0, width - fixed) / Math.max(1, open.reduce((sum, gap) => sum + gap, 0));
  const at = new Map();
  const folds = [];
  let x = LEFT;
  moments.forEach((time, i) => {
    if (i > 0 && folded[i - 1]) {
      folds.push({ x: x + STEP / 2, width: FOLD, ms: gaps[i - 1], text: span(gaps[i - 1]) });
      x += FOLD + STEP;
    } else if (i > 0) x += STEP + gaps[i - 1] * scale;
    at.set(time, x);
  });
  const last = moments.at(-1);
  return { x: (time) => at.get(time) ?? at.get(last), folds, moments, end: Math.max(width, x + tail), last: x };
}

// The pieces of a stretch that no fold covers.
export function pieces(from, to, folds) {
  let found = [[from, to]];
  for (const fold of folds) {
    found = found.flatMap(([a, b]) => [[a, Math.min(b, fold.x)], [Math.max(a, fold.x + fold.width), b]])
      .filter(([a, b]) => b - a > 2);
  }
  return found;
}

// Labels that do not run into each other: takes a place, or says that it is taken.
export class Places {
  constructor() {
    this.taken = [];
  }

  claim(x, y, letters) {
    const box = { left: x - PAD, right: x + letters * LETTER + PAD, y };
    const free = this.taken.every((other) => Math.abs(other.y - y) > 11 || other.right < box.left || other.left > box.right);
    if (free) this.taken.push(box);
    return free;
  }
}

// Times along the top: centred where there is room, to the right of their moment, or not at all.
export function ticks(place, reserved) {
  const places = new Places();
  for (const fold of place.folds) places.claim(fold.x + (fold.width - fold.text.length * LETTER) / 2, 0, fold.text.length);
  if (reserved !== null) places.claim(reserved - 17, 0, 5.4);
  const found = [];
  let whole = "";
  for (const time of place.moments) {
    const x = place.x(time);
    if (x === reserved) continue;
    const second = tick(time, true).slice(0, 2);
    const text = tick(time, second !== whole || found.length === 0);
    const half = (text.length * LETTER) / 2;
    const anchor = found.length > 0 && places.claim(x - half, 0, text.length) ? "middle"
      : places.claim(x, 0, text.length) ? "start" : null;
    if (anchor === null) continue;
    found.push({ x, text, anchor });
    whole = second;
  }
  return found;
}
