"""Waking one thread that waits for sockets, from others."""

import contextlib
import socket
import threading


class Bell:
    """Rung from any thread, heard by the one that polls its socket. Made when first needed."""

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._pair: tuple[socket.socket, socket.socket] | None = None
        self._rung = False
        self._closed = False

    def ring(self) -> None:
        """Wake the listener, now or as soon as it listens; nothing once it has gone."""
        with self._mutex:
            if self._rung or self._closed:
                return
            self._rung = True
            if self._pair is not None:
                self._pair[1].send(b"!")

    def fileno(self) -> int:
        """The socket to poll for reading."""
        with self._mutex:
            if self._pair is None:
                self._pair = socket.socketpair()
                if self._rung:
                    self._pair[1].send(b"!")
            return self._pair[0].fileno()

    def silence(self) -> None:
        """Whoever rings from now on rings anew. Before looking for what it was rung for."""
        with self._mutex:
            if self._rung and self._pair is not None:
                self._pair[0].recv(1)
            self._rung = False

    def close(self) -> None:
        """Listen no more."""
        with self._mutex:
            self._closed = True
            for each in self._pair or ():
                with contextlib.suppress(OSError):
                    each.close()
