"""Files of this checkout that are nobody else's business: ``var/``, open to its owner alone."""

import os
import secrets
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent.parent / "var"


def private_folder() -> Path:
    """The folder, made when missing."""
    _FOLDER.mkdir(mode=0o700, exist_ok=True)
    return _FOLDER


def write_private(path: Path, text: str) -> None:
    """Replace the file, readable by its owner alone from its first byte on."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def local_secret_key() -> str:
    """A SECRET_KEY of this checkout's own, drawn once, so that sessions survive a restart."""
    path = private_folder() / "secret-key"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(50))
    return path.read_text()
