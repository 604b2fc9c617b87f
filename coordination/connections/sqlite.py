"""A SQLite file of our own beside the project's: short transactions, each with a deadline.

It is never the file that Django writes: a second connection to that one would wait for the end of
the caller's own `atomic()`. One connection a process serves all its threads in turn, because SQLite
lets one writer in at a time anyhow.

Source: sqlite.org, "How To Corrupt An SQLite Database File", 2.6: a connection, and what SQLite
remembers of it, must not be carried over a fork. So it is closed before each.
"""

import os
import random
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from coordination.connections.mounts import network_filesystem
from coordination.exceptions import NotSupportedByStore, OutcomeUnknown, StoreUnavailable

DEADLINE_MS = 2_000
FORK_S = 2.0
"""How long a fork waits for a call that is under way."""
PAUSE_S, PAUSE_S_MAX = 0.000_05, 0.001
"""Between two tries to write, while another process does: its transaction takes a tenth of this."""

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Sidecar:
    """One file, opened with the first call and made if need be."""

    def __init__(
        self, store: str, place: Callable[[], Path], schema: Sequence[str], *, application: int
    ) -> None:
        """Describe it; nothing is opened.

        Args:
            store: alias of the store, for errors.
            place: where the file is now; a test may move it.
            schema: what makes each version of its tables out of the one before.
            application: SQLite's application_id, so that a stranger's file is not taken for ours.
        """
        self._store = store
        self._place = place
        self._schema = schema
        self._application = application
        self._mutex = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[Path, int, int] | None = None
        """Path, device and inode of what is open."""
        _sidecars.add(self)

    @property
    def path(self) -> Path:
        """Where it is. Raises NotSupportedByStore when it can be nowhere."""
        return self._place()

    @contextmanager
    def transaction(self, deadline_ms: int, *, reads: bool = False) -> Iterator[sqlite3.Connection]:
        """Write in one transaction, which a clean end of the block commits.

        One that only `reads` keeps nobody from writing, and sees the file as it is at its first
        statement.

        Raises StoreUnavailable when it did not take place, OutcomeUnknown when its end is not
        known, NotSupportedByStore when the file cannot be where it should.
        """
        until = time.monotonic() + deadline_ms / 1000
        if not self._mutex.acquire(timeout=max(0.0, until - time.monotonic())):
            raise self._unavailable("another thread is still at it")
        try:
            connection = self._begun(until, "BEGIN" if reads else "BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException as error:
                self._roll_back(connection)
                if isinstance(error, sqlite3.Error):
                    raise self._unavailable(str(error)) from error
                raise
            self._commit(connection)
        finally:
            self._mutex.release()

    def close(self) -> None:
        """Close the file; the next call opens it again."""
        with self._mutex:
            self._close()

    def _begun(self, until: float, begin: str) -> sqlite3.Connection:
        try:
            connection = self._open(until)
            _patiently(lambda: connection.execute(begin), until)
        except (sqlite3.Error, OSError) as error:
            self._close()
            raise self._unavailable(str(error)) from error
        return connection

    def _open(self, until: float) -> sqlite3.Connection:
        path = self._place()
        if self._connection is not None and self._opened == _identity(path):
            return self._connection
        # The file was moved, or replaced: whoever comes new would not see what is done in this one.
        self._close()
        if (kind := network_filesystem(path)) is not None:
            raise NotSupportedByStore(
                f"Store {self._store!r}: {path} is on {kind}. SQLite's locks hold on the disks of "
                "one host only: name a place there in OPTIONS['LOCATION'].",
                store=self._store,
            )
        connection = sqlite3.connect(path, timeout=0, isolation_level=None, check_same_thread=False)
        self._connection = connection
        _patiently(lambda: connection.execute("PRAGMA journal_mode = WAL"), until)
        # Not FULL: a power cut that takes the last commits takes all holders, on this host, too.
        connection.execute("PRAGMA synchronous = NORMAL")
        self._migrate(connection, until)
        self._opened = _identity(path)
        return connection

    def _migrate(self, connection: sqlite3.Connection, until: float) -> None:
        if _marks(connection) == (self._application, len(self._schema)):
            return
        # Alone: another process may just be making the tables.
        _patiently(lambda: connection.execute("BEGIN IMMEDIATE"), until)
        try:
            for version in self._schema[self._version(connection) :]:
                for statement in version.split(";\n"):
                    connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {self._application}")
            connection.execute(f"PRAGMA user_version = {len(self._schema)}")
        except BaseException:
            self._roll_back(connection)
            raise
        connection.execute("COMMIT")

    def _version(self, connection: sqlite3.Connection) -> int:
        application, version = _marks(connection)
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and (application != self._application or version > len(self._schema)):
            raise sqlite3.DatabaseError(
                "the file is not ours, or a later version of Concord has made it"
            )
        return version

    def _commit(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            undone = connection.in_transaction and self._roll_back(connection)
            if undone:
                raise self._unavailable(str(error)) from error
            raise OutcomeUnknown(
                f"Store {self._store!r}: its outcome is unknown: {error}.",
                store=self._store,
                reason=str(error),
            ) from error

    def _roll_back(self, connection: sqlite3.Connection) -> bool:
        try:
            connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._close()
            return False
        return True

    def _close(self) -> None:
        connection, self._connection, self._opened = self._connection, None, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _unavailable(self, why: str) -> StoreUnavailable:
        return StoreUnavailable(
            f"Store {self._store!r} in {self._place()}: not applied: {why}.",
            store=self._store,
            reason=why,
        )

    # Around a fork

    def _before_fork(self) -> None:
        if self._mutex.acquire(timeout=FORK_S):
            self._close()

    def _after_fork(self) -> None:
        with suppress(RuntimeError):  # it was not to be had
            self._mutex.release()

    def _after_fork_in_child(self) -> None:
        self._mutex = threading.Lock()
        if self._connection is not None:
            _inherited.append(self._connection)  # closing it would be the parent's undoing
            self._connection = self._opened = None


def _marks(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose file it is, and the version of its tables."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application, version


def _patiently(attempt: Callable[[], object], until: float) -> None:
    """Try again while another process writes. Raises sqlite3.OperationalError at `until`."""
    pause_s = PAUSE_S
    while True:
        try:
            attempt()
        except sqlite3.OperationalError as error:
            # SQLite's own busy handler sleeps up to 100 ms, and whoever comes new gets in first.
            if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() >= until:
                raise
        else:
            return
        time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311
        pause_s = min(PAUSE_S_MAX, pause_s * 2)


def _identity(path: Path) -> tuple[Path, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return path, found.st_dev, found.st_ino


_sidecars: "weakref.WeakSet[Sidecar]" = weakref.WeakSet()
_inherited: list[sqlite3.Connection] = []
_forking: list[Sidecar] = []


def _before() -> None:
    _forking[:] = list(_sidecars)
    for sidecar in _forking:
        sidecar._before_fork()


def _after() -> None:
    for sidecar in _forking:
        sidecar._after_fork()
    _forking.clear()


def _after_in_child() -> None:
    for sidecar in _forking:
        sidecar._after_fork_in_child()
    _forking.clear()


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
