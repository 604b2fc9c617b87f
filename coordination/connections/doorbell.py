"""A named pipe a process, beside a file that processes of one host share: whoever writes an id into
it wakes the one who waits under that id.

A ring may be lost, so whoever waits also looks by himself.
"""

import atexit
import errno
import glob
import logging
import os
import secrets
import select
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)

LOOK_S = 1.0
IDLE_S = 5.0
"""How long the thread, and the pipe, outlive the last one who wanted them."""
_READ_BYTES = 65_536


class Doorbell:
    """The pipe of this process and the thread that reads it."""

    def __init__(
        self,
        beside: Callable[[], Path],
        *,
        heard: Callable[[str], None],
        wanted: Callable[[], int],
    ) -> None:
        """Nothing is made before `start`.

        Args:
            beside: the file that is shared.
            heard: is called with each id.
            wanted: how many still wait for any.
        """
        self._beside = beside
        self._heard, self._wanted = heard, wanted
        self._start_afresh()
        _doorbells.add(self)

    def _start_afresh(self) -> None:
        self._mutex = threading.Lock()
        self._thread: threading.Thread | None = None
        self._pipe: int | None = None
        self._path: Path | None = None
        self.name = secrets.token_hex(8)
        """Where to ring for this process."""
        self.works = True
        """Whether a pipe could be made here."""

    def start(self) -> bool:
        """Hear every ring from now on; whether rings may have been missed before."""
        with self._mutex:
            if self._thread is not None:
                return False
            path = _path(self._beside(), self.name)
            try:
                self._pipe = pipe = _hung(path)
                self._path = path
                _take_down_the_dead(self._beside())
            except OSError as error:
                if self.works:
                    logger.warning("waiters look for themselves, no pipe at %s: %s", path, error)
                self.works = False
                return True
            thread = threading.Thread(
                target=self._run, args=(pipe, path), name="concord-doorbell", daemon=True
            )
            thread.start()
            self._thread = thread
            return True

    def _run(self, pipe: int, path: Path) -> None:
        rest = b""
        wanted_at = time.monotonic()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        while True:
            if poll.poll(LOOK_S * 1000):
                with suppress(BlockingIOError):
                    *ids, rest = (rest + os.read(pipe, _READ_BYTES)).split(b"\n")
                    for id_ in ids:
                        self._heard(id_.decode(errors="replace"))
            now = time.monotonic()
            with self._mutex:
                if self._wanted():
                    wanted_at = now
                elif now - wanted_at > IDLE_S:
                    self._thread = self._pipe = None
                    os.close(pipe)
                    path.unlink(missing_ok=True)
                    # Somebody may just find that nobody reads this one, and take it away later.
                    self.name = secrets.token_hex(8)
                    return

    def take_down(self) -> None:
        """At the end of the process."""
        if self._pipe is not None and self._path is not None:
            self._path.unlink(missing_ok=True)

    def forget(self) -> None:
        """In a forked child: the pipe is the parent's, and its thread is not here."""
        if self._pipe is not None:
            os.close(self._pipe)
        self._start_afresh()


def _hung(path: Path) -> int:
    """A pipe at `path`, open. It appears there only when it is read: see `ring`."""
    making = path.with_name(f"{path.name}-making")
    os.mkfifo(making, 0o660)
    # Also for writing, so that it does not end with each one who rang.
    pipe = os.open(making, os.O_RDWR | os.O_NONBLOCK)
    making.rename(path)
    return pipe


def _take_down_the_dead(beside: Path) -> None:
    for path in beside.parent.glob(f"{glob.escape(beside.name)}-bell-*[0-9a-f]"):
        with suppress(OSError):
            os.close(_answered(path))


def _answered(path: Path) -> int:
    """The pipe, for writing. Raises OSError when nobody reads it, and takes it away."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # its process was killed and could not do that
            path.unlink(missing_ok=True)
        raise


def ring(beside: Path, name: str, id_: str) -> None:
    """Wake who waits under `id_` in the process whose doorbell has this name, if it lives."""
    try:
        pipe = _answered(_path(beside, name))
    except OSError:
        return
    try:
        os.write(pipe, id_.encode() + b"\n")  # shorter than PIPE_BUF: never mixed with another
    except OSError:
        pass  # it is full: its process has enough to wake up for
    finally:
        os.close(pipe)


def _path(beside: Path, name: str) -> Path:
    return beside.with_name(f"{beside.name}-bell-{name}")


_doorbells: "weakref.WeakSet[Doorbell]" = weakref.WeakSet()


def _forget_all() -> None:
    for doorbell in list(_doorbells):
        doorbell.forget()


def _take_down_all() -> None:
    for doorbell in list(_doorbells):
        doorbell.take_down()


os.register_at_fork(after_in_child=_forget_all)
atexit.register(_take_down_all)
