// Dialogs that act: the last button works only once everything the server will ask for is there.
function guard(form, submit, ready) {
  const check = () => {
    const length = form.elements.reason.value.trim().length;
    form.querySelector("#reason-count, .reason-count").textContent = length;
    submit.disabled = length < Number(form.dataset.reasonMin) || !ready();
  };
  form.addEventListener("input", check);
  // One click, one effect: the second of a double click finds the button off.
  form.addEventListener("submit", () => { submit.disabled = true; });
  check();
  return check;
}

export function watchResolve() {
  const form = document.querySelector("#resolve form");
  if (form === null) return;
  const { confirm, outcome } = form.elements;
  const submit = document.getElementById("resolve-submit");
  guard(form, submit, () => {
    submit.textContent = `${outcome.value === "committed" ? "Commit" : "Abort"} ${form.dataset.confirm}`;
    return confirm.value.trim() === form.dataset.confirm;
  });
}

export function watchAcknowledge() {
  const form = document.querySelector("#acknowledge form");
  if (form !== null) guard(form, document.getElementById("acknowledge-submit"), () => true);
}

// Dialogs about the holders of a lock: `held()` tells who they are when the dialog is opened, and
// the form keeps exactly that, so that the server can refuse when others hold it by then.
export function watchHolders(id, held) {
  const form = document.querySelector(`#${id} form`);
  if (form === null) return;
  const { confirm, tokens } = form.elements;
  const wanted = () => form.querySelector("[data-confirm]")?.textContent;
  const submit = document.getElementById(`${id}-submit`);
  const check = guard(form, submit, () => !confirm || confirm.value.trim() === wanted());
  document.getElementById(`${id}-open`).addEventListener("click", () => {
    const now = held();
    tokens.value = now.tokens.join(",");
    form.querySelector("[data-held]").textContent = now.owners;
    form.querySelector("[data-tokens]").textContent = now.tokens.join(", ");
    if (confirm) form.querySelector("[data-confirm]").textContent = now.confirm;
    check();
  });
}
