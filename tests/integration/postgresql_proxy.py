"""A proxy in front of PostgreSQL that loses a reply, or forwards nothing any more."""

import socket
import threading
from contextlib import suppress
from types import TracebackType


class PostgresProxy:
    """Forwards connections to a server on the loopback, until told otherwise."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._losing = threading.Event()
        self.lost = threading.Event()
        """A reply came, and was not forwarded."""
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]

    def lose_the_next_reply(self) -> None:
        """Let the server do what it is asked next, and hang up instead of forwarding its answer."""
        self._losing.set()

    def __enter__(self) -> "PostgresProxy":
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Only so does a thread in accept() hear of it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._hang_up()
        for thread in self._threads:
            thread.join(10)
        for each in self._open:
            each.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._target)
            self._open += [client, server]
            for here, there, reply in ((client, server, False), (server, client, True)):
                pump = threading.Thread(
                    target=self._pump, args=(here, there), kwargs={"reply": reply}
                )
                self._threads.append(pump)
                pump.start()

    def _pump(self, here: socket.socket, there: socket.socket, *, reply: bool) -> None:
        try:
            while data := here.recv(65_536):
                if reply and self._losing.is_set():
                    self._losing.clear()
                    self.lost.set()
                    break
                there.sendall(data)
        except OSError:
            pass
        for each in (here, there):
            _shut(each)

    def _hang_up(self) -> None:
        for each in self._open:
            _shut(each)


def _shut(each: socket.socket) -> None:
    with suppress(OSError):  # it has ended
        each.shutdown(socket.SHUT_RDWR)
