// Numbers, durations and times as people read them; `dashboard/texts.py` says the same. Pure.
const two = (value) => String(value).padStart(2, "0");

export const number = (value) => Math.round(value).toLocaleString("en-US");

export const capped = (value, most) => (value > most ? `${number(most)}+` : number(value));

// `+1,204`, `−3`, `±0`: a minus that is as wide as the plus.
export const signed = (value) => (value === 0 ? "±0" : `${value > 0 ? "+" : "−"}${number(Math.abs(value))}`);

// So many a second: as `per_second` of the templates.
export const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : number(value));

// Figures below ten keep one digit after the point.
export const figure = (value) => (value < 10 && value > 0 ? value.toFixed(1) : number(value));

export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 60) return `${(Math.round(seconds * 10) / 10).toFixed(1)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

// `40 ms`, `1.2 s`: for intervals inside a picture.
export const span = (ms) => (ms < 1000 ? `${Math.round(ms)} ms` : duration(ms));

export function clock(ms, exact = true) {
  if (ms == null) return "";
  const at = new Date(ms);
  const day = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  return exact ? `${day}.${String(at.getUTCMilliseconds()).padStart(3, "0")}` : day;
}

// Seconds and milliseconds, for ticks: `03.100`, and only the fraction when the second is known.
export const tick = (ms, whole) => clock(ms).slice(whole ? 6 : 8);
