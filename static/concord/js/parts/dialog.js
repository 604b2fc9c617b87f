// Dialogs that act: the last button works only once everything the server will ask for is there.
function guard(form, submit, ready) {
  const check = () => {
    const length = form.elements.reason.value.trim().length;
    document.getElementById("reason-count").textContent = length;
    submit.disabled = length < Number(form.dataset.reasonMin) || !ready();
  };
  form.addEventListener("input", check);
  // One click, one effect: the second of a double click finds the button off.
  form.addEventListener("submit", () => { submit.disabled = true; });
  check();
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
