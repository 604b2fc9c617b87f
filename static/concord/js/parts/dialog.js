// Dialogs that act: the last button works only once everything the server will ask for is there.
// `opened` fills in what the dialog is about when it is opened; `verb` says what would be done now.
function watch(id, { opened = null, verb = null } = {}) {
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
    submit.disabled = length < Number(form.dataset.reasonMin) || !typed;
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

export function watchResolve() {
  watch("resolve", {
    verb(form) {
      const word = form.elements.outcome.value === "committed" ? "Commit" : "Abort";
      return `${word} ${form.querySelector("[data-confirm]").textContent}`;
    },
  });
}

export const watchAcknowledge = () => watch("acknowledge");

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
