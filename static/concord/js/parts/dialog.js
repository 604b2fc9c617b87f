import { number } from "../format.js";

// Dialogs that act: the last button works only once everything the server will ask for is there.
// `opened` fills in what the dialog is about when it is opened; `verb` says what would be done now.
// `ready` says whether what else it has was filled in.
function watch(id, { opened = null, verb = null, ready = () => true } = {}) {
  const form = document.querySelector(`#${id} form`);
  if (form === null) return;
  const { confirm, reason } = form.elements;
  const submit = document.getElementById(`${id}-submit`);
  const wanted = form.querySelector("[data-confirm]");
  const check = () => {
    const { length } = reason.value.trim();
    form.querySelector("[data-count]").textContent = length;
    if (verb !== null) submit.textContent = verb(form);
    const typed = wanted === null || confirm.value.trim() === wanted.textContent;
    const filled = ready(form);
    submit.disabled = length < Number(form.dataset.reasonMin) || !typed || !filled;
  };
  form.addEventListener("input", check);
  // One click, one effect: the second of a double click finds the button off.
  form.addEventListener("submit", () => { submit.disabled = true; });
  document.getElementById(`${id}-open`).addEventListener("click", () => {
    opened?.(form);
    check();
  });
  check();
}

// A counter's: `shown()` tells how it stands. Adjusting says what would become of it; resetting
// keeps the value it was opened with, so that the server can refuse when it is another one by then.
export function watchCounter(shown) {
  const say = (form, what, text) => { form.querySelector(`[data-${what}]`).textContent = text; };
  watch("adjust", {
    opened: (form) => say(form, "value", number(shown().value)),
    ready(form) {
      const amount = form.elements.amount.value.trim();
      const whole = /^[+-]?\d{1,16}$/.test(amount) && Number(amount) !== 0;
      say(form, "becomes", whole ? `, and would stand at ${number(shown().value + Number(amount))}` : "");
      return whole;
    },
  });
  watch("reset", {
    opened(form) {
      const { value } = shown();
      form.elements.value.value = value;
      say(form, "value", number(value));
      say(form, "confirm", String(value).slice(-6));
    },
  });
}

export function watchResolve() {
  watch("resolve", {
    verb(form) {
      const word = form.elements.outcome.value === "committed" ? "Commit" : "Abort";
      return `${word} ${form.querySelector("[data-confirm]").textContent}`;
    },
  });
}

export const watchAcknowledge = () => watch("acknowledge");

const say = (form, what, text) => form.querySelectorAll(`[data-${what}]`).forEach((spot) => { spot.textContent = text; });

// A dialog that says figures of now when it is opened: what → text.
export const watchDialog = (id, figures = () => ({})) => watch(id, {
  opened(form) {
    for (const [what, text] of Object.entries(figures())) say(form, what, text);
  },
});

const CONFIRM_DIGITS = 6;

// A dialog about so many messages: the form keeps how many were shown when it was opened, and the
// server touches no more.
export function watchSweep(id, verb, count) {
  watch(id, {
    verb: (form) => `${verb} ${number(Number(form.elements.shown.value))}`,
    opened(form) {
      const shown = count();
      form.elements.shown.value = shown;
      say(form, "count-shown", number(shown));
      say(form, "confirm", String(shown).slice(-CONFIRM_DIGITS));
    },
  });
}

// Dialogs about the holders of a lock: `held()` tells who they are when the dialog is opened, and
// the form keeps exactly that, so that the server can refuse when others hold it by then.
export function watchHolders(id, held) {
  watch(id, {
    opened(form) {
      const now = held();
      form.elements.tokens.value = now.tokens.join(",");
      const say = (what, text) => {
        const spot = form.querySelector(`[data-${what}]`);
        if (spot !== null) spot.textContent = text;
      };
      say("held", now.owners);
      say("tokens", now.tokens.join(", "));
      say("confirm", now.confirm);
    },
  });
}
