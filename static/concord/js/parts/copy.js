// A button that copies the page's address, and says so only when it did.

// Without TLS browsers give pages no clipboard; a selection can be copied all the same.
function copySelected(text) {
  const field = document.createElement("textarea");
  field.value = text;
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

export function offerLink(button) {
  button.addEventListener("click", async () => {
    button.querySelector("span").textContent = (await copy(location.href)) ? "Copied" : "Not copied";
  });
}
