"""A service that answers as a test tells it: late, too much, elsewhere, in pieces, unsigned."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from coordination.kernel.http_signatures import answer_signature
from tests.integration.http_service import KEYS


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What is answered, signed unless `signed` says otherwise."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)
    signed: bool = True
    write: Callable[[Any, bytes], object] | None = None
    """Writes the body to the connection, instead of at once."""


class Scripted(ThreadingHTTPServer):
    """Gives each request the `answer` that stands; `asked` holds their bodies."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = Answer()
        self.asked: list[bytes] = []
        self.connections: set[Any] = set()
        self.done = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/"

    def handle_error(self, request: object, client_address: object) -> None:
        """Quiet: a client that went away is what the test is about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Scripted

    def do_POST(self) -> None:
        told, body = self.server.answer, self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append(body)
        self.server.connections.add(self.client_address)
        self.send_response(told.status)
        headers = {"Content-Length": str(len(told.body))} | told.headers
        if told.signed:
            asked = self.headers["Concord-Signature"]
            secret = KEYS[self.headers["Concord-Key"]]
            headers["Concord-Signature"] = answer_signature(
                secret, request=asked, status=told.status, body=told.body
            )
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            (told.write or _write)(self.wfile, told.body)
        except OSError:
            self.close_connection = True
        if told.write is not None:
            self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Quiet: what went wrong is what the test looks at."""


def _write(to: Any, body: bytes) -> None:
    to.write(body)


@contextmanager
def scripted() -> Iterator[Scripted]:
    server = Scripted()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.done.set()
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
