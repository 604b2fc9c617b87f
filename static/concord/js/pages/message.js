// One message: its page is as it was when it was opened; only its dialogs live.
import "../shell.js";
import { offerLink } from "../parts/copy.js";
import { watchDialog } from "../parts/dialog.js";

for (const what of ["requeue", "transfer", "discard"]) {
  if (document.getElementById(what) !== null) watchDialog(what);
}
offerLink(document.getElementById("copy-link"));
