"""The folder of one run: short, private, outside the checkout, gone with the run.

A checkout may lie under a folder that the server's account cannot enter, or be so deep that a
socket's path overflows. Data therefore lives in a temporary folder, which its keeper holds locked;
a folder whose lock is free belongs to a run that was killed, and the next run removes it.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from config.servers.errors import ServerError

_PREFIX = "concord-"
_LOCK = "lock"
_LONGEST = 40
_PLACES = ("/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it


class RunFolder:
    """A new folder, held until :meth:`remove`."""

    def __init__(self) -> None:
        place = _place()
        _remove_abandoned(place)
        self.path, self._lock = _locked_folder(place)
        if os.geteuid() == 0:
            # Passable, not readable: each server's own folder inside belongs to its account alone.
            self.path.chmod(0o711)

    def folder(self, name: str) -> Path:
        """A private folder inside, made when missing."""
        path = self.path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def remove(self) -> None:
        """Remove everything; the lock goes last."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def _locked_folder(place: Path) -> tuple[Path, int]:
    while True:
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))
        lock = os.open(path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if os.fstat(lock).st_nlink:
            return path, lock
        # Another run, starting just now, took the folder for abandoned before it was locked.
        os.close(lock)


def _place() -> Path:
    for place in (tempfile.gettempdir(), *_PLACES):
        path = Path(place).resolve()
        if len(str(path)) <= _LONGEST and os.access(path, os.W_OK | os.X_OK) and _passable(path):
            return path
    raise ServerError("no short temporary folder is writable: set TMPDIR to one")


def _passable(path: Path) -> bool:
    """As root, another account has to reach the folder."""
    if os.geteuid() != 0:
        return True
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))


def _remove_abandoned(place: Path) -> None:
    for path in place.glob(f"{_PREFIX}*"):
        try:
            if path.stat().st_uid != os.geteuid():
                continue
            lock = os.open(path / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        else:
            shutil.rmtree(path, ignore_errors=True)
        finally:
            os.close(lock)
