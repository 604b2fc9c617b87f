"""A proxy before a server that loses replies when it is told to, and serves everybody else."""

import socket
import threading
from contextlib import suppress
from types import TracebackType


class LosingProxy:
    """Forwards connections to a port; a reply that is to be lost costs its connection."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._mutex = threading.Lock()
        self._to_lose = 0
        self.lost = 0
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    def lose(self, number: int = 1) -> None:
        """From now on, so many replies."""
        with self._mutex:
            self._to_lose = number

    def __enter__(self) -> "LosingProxy":
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._mutex:
            for each in self._open:
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(timeout=10)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        try:
            behind = socket.create_connection(self._target)
        except OSError:
            client.close()  # the server is down, which its clients are to see
            return
        with client, behind as server:
            with self._mutex:
                self._open |= {client, server}
            back = threading.Thread(target=self._copy_back, args=(server, client), daemon=True)
            back.start()
            with suppress(OSError):
                while data := client.recv(65_536):
                    server.sendall(data)
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            back.join()
            with self._mutex:
                self._open -= {client, server}

    def _copy_back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(65_536):
                if self._is_to_be_lost():
                    break
                client.sendall(data)
        with suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)

    def _is_to_be_lost(self) -> bool:
        with self._mutex:
            if self._to_lose == 0:
                return False
            self._to_lose -= 1
            self.lost += 1
            return True
