"""Our scripts and the vendored ones, as names an import map gives to browsers."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final
from urllib.parse import urljoin

from django.conf import settings
from django.contrib.staticfiles import finders
from django.templatetags.static import static

VENDORED: Final = {
    "preact": "vendor/preact-11.2.0/preact.mjs",
    "preact/hooks": "vendor/preact-11.2.0/hooks.mjs",
    "@preact/signals": "vendor/preact-signals-2.11.4/signals.mjs",
    "@preact/signals-core": "vendor/preact-signals-core-1.14.5/signals-core.mjs",
    "htm": "vendor/htm-3.1.1/htm.mjs",
}
SCRIPTS: Final = "concord/js"


@cache
def modules() -> tuple[str, ...]:
    """Static names of our own modules."""
    folder = finders.find(SCRIPTS)
    if not isinstance(folder, str):
        return ()
    root = Path(folder)
    found = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.js"))
    return tuple(f"{SCRIPTS}/{name}" for name in found)


def import_map() -> dict[str, dict[str, str]]:
    """Bare names of the vendored modules and plain addresses of ours, each to its hashed address.

    A module imports its neighbour by a relative path; the browser resolves that against the
    importer's address and then looks here, so no hashed file has to be rewritten.
    """
    ours = {urljoin(settings.STATIC_URL, name): static(name) for name in modules()}
    return {"imports": ours | {name: static(path) for name, path in VENDORED.items()}}
