"""A participant of transactions that is called by HTTP: accounts in SQLite, no library needed.

It is the model for services in other languages. What it must keep is in
docs/http-participants.md; `python -m examples.http_participant.service --help` starts it.

One row a branch says which steps took effect. A step and its row are one local transaction, so a
step happens once however often it is asked for, and a prepare after its cancel is refused.
"""

import argparse
import hashlib
import hmac
import json
import sqlite3
import sys
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

BODY_BYTES_MAX = 1024 * 1024
CLOCKS_MS = 300_000
DONE, REFUSED, NOT_YET = 200, 409, 425
PREPARED, COMMITTED, CANCELLED = "prepared", "committed", "cancelled"

TABLES = """
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, cents INTEGER NOT NULL CHECK (cents >= 0),
    held INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS branch (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, account TEXT, cents INTEGER, at REAL NOT NULL);
"""

Answer = tuple[int, dict[str, Any]]


class Bank:
    """Accounts from which a branch takes cents, or to which it adds them."""

    def __init__(self, path: str) -> None:
        self._path = path
        with closing(self._connected()) as database:
            database.executescript(f"PRAGMA journal_mode = WAL; {TABLES}")

    def perform(self, told: dict[str, Any]) -> Answer:
        """Do one phase of one branch, once."""
        branch, args = told["branch"], told["args"]
        with closing(self._connected()) as database:
            # The write lock first: two calls for one branch must not both find it unknown.
            database.execute("BEGIN IMMEDIATE")
            row = database.execute("SELECT state FROM branch WHERE id = ?", (branch,)).fetchone()
            state = row[0] if row else None
            if told["phase"] == "prepare":
                answer = self._prepare(database, state, branch, args, told["remaining_ms"])
            else:
                wanted = COMMITTED if told["phase"] == "commit" else CANCELLED
                answer = self._finish(database, state, branch, wanted)
            database.execute("COMMIT")
            return answer

    def _prepare(
        self,
        database: sqlite3.Connection,
        state: str | None,
        branch: str,
        args: dict[str, Any],
        remaining_ms: int,
    ) -> Answer:
        if state in (PREPARED, COMMITTED):
            return DONE, {"vote": "yes"}
        if state == CANCELLED or remaining_ms <= 0:
            return REFUSED, {"reason": "it was cancelled already, or comes too late"}
        account, cents = args["account"], args["cents"]
        # What is taken leaves the account now, so that the commit cannot fail for want of it.
        taken = database.execute(
            "UPDATE account SET cents = cents + min(?, 0), held = held + max(-?, 0)"
            " WHERE name = ? AND cents + min(?, 0) >= 0",
            (cents, cents, account, cents),
        )
        if taken.rowcount == 0:
            return REFUSED, {"reason": f"{account} has too little, or is not there"}
        self._remember(database, branch, PREPARED, account, cents)
        return DONE, {"vote": "yes"}

    def _finish(
        self, database: sqlite3.Connection, state: str | None, branch: str, wanted: str
    ) -> Answer:
        if state == wanted:
            return DONE, {}
        if wanted == CANCELLED and state is None:
            self._remember(database, branch, CANCELLED)  # refuses the prepare that comes late
            return DONE, {}
        if state != PREPARED:
            return REFUSED, {"reason": f"it is {state or 'unknown'} and cannot be {wanted}"}
        account, cents = database.execute(
            "SELECT account, cents FROM branch WHERE id = ?", (branch,)
        ).fetchone()
        added = max(cents, 0) if wanted == COMMITTED else max(-cents, 0)
        database.execute(
            "UPDATE account SET cents = cents + ?, held = held - max(-?, 0) WHERE name = ?",
            (added, cents, account),
        )
        database.execute("UPDATE branch SET state = ? WHERE id = ?", (wanted, branch))
        return DONE, {}

    def _remember(self, database: sqlite3.Connection, branch: str, state: str, *what: Any) -> None:
        account, cents = what or (None, None)
        database.execute(
            "INSERT INTO branch VALUES (?, ?, ?, ?, ?)",
            (branch, state, account, cents, time.time()),
        )

    def _connected(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        database.execute("PRAGMA synchronous = FULL")  # a yes must survive the power
        return database


def signature(secret: str, *lines: str) -> str:
    """The signature of a request or an answer."""
    text = "\n".join(lines).encode()
    return "v1=" + hmac.new(secret.encode(), text, hashlib.sha256).hexdigest()


def refusal(headers: Any, keys: dict[str, str], target: str, body: bytes) -> str:
    """Why a request is not to be believed; empty: one of the keys signed it."""
    names = ("From", "Key", "Nonce", "Issued", "Expires")
    sender, key, nonce, issued, expires = (headers.get(f"Concord-{name}", "") for name in names)
    digest = hashlib.sha256(body).hexdigest()
    lines = ("concord-http-1", "POST", target, sender, key, nonce, issued, expires, digest)
    given = headers.get("Concord-Signature", "").encode(errors="replace")
    if not hmac.compare_digest(signature(keys.get(key, ""), *lines).encode(), given):
        return "wrong signature"
    now_ms = time.time() * 1000
    fresh = now_ms <= int(expires) and int(issued) <= now_ms + CLOCKS_MS
    return "" if key in keys and fresh else "unknown key, expired, or clocks too far apart"


class Handler(BaseHTTPRequestHandler):
    """One call. A wrong signature gets 401, unsigned; every other answer is signed."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    server: "Service"

    def do_POST(self) -> None:
        """Verify, perform, sign."""
        size = self.headers.get("Content-Length", "")
        if not size.isdecimal() or int(size) > BODY_BYTES_MAX:
            self.close_connection = True
            self.send_error(413)
            return
        body = self.rfile.read(int(size))
        if wrong := self.wrong(body):
            sys.stderr.write(f"refused a call: {wrong}\n")
            self.send_error(401)
            return
        try:
            status, told = self.server.bank.perform(json.loads(body))
        except sqlite3.OperationalError:
            status, told = NOT_YET, {"reason": "the database is busy"}
        except (KeyError, TypeError, ValueError, sqlite3.Error) as error:
            status, told = 400, {"reason": str(error)}
        self._answer(status, told)

    def wrong(self, body: bytes) -> str:
        """Why this request is not to be believed, or nothing."""
        return refusal(self.headers, self.server.keys, self.path, body)

    def _answer(self, status: int, told: dict[str, Any]) -> None:
        answer = json.dumps(told).encode()
        asked, secret = self.headers["Concord-Signature"], self.headers["Concord-Key"]
        digest = hashlib.sha256(answer).hexdigest()
        lines = ("concord-http-answer-1", asked, str(status), digest)
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Content-Type", "application/json")
        self.send_header("Concord-Signature", signature(self.server.keys[secret], *lines))
        if status == NOT_YET:
            self.send_header("Retry-After", "1")
        self.end_headers()
        self.wfile.write(answer)


class Service(ThreadingHTTPServer):
    """The bank behind an address."""

    daemon_threads = True

    def __init__(self, port: int, bank: Bank, keys: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.bank, self.keys = bank, keys


def main() -> None:
    """Serve until killed; the keys come as JSON on standard input, out of sight of others."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--database", required=True)
    options = parser.parse_args()
    service = Service(options.port, Bank(options.database), json.load(sys.stdin))
    print(service.server_address[1], flush=True)  # whoever starts it waits for this
    service.serve_forever()


if __name__ == "__main__":
    main()
