"""Floors: two-phase commit over two databases by psycopg alone, recorded nowhere."""

import itertools
import os
import select
from collections.abc import Sequence

import psycopg
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn

from bench.rows import UPDATE, turns

_gids = (f"bench-{os.getpid()}-{number}" for number in itertools.count())


class Sequential:
    """One client, one step after another, by psycopg's `tpc_*` methods."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._connections = [psycopg.connect(url) for url in urls]
        self._rows = turns()

    def __call__(self) -> None:
        gid, row = next(_gids), next(self._rows)
        for index, connection in enumerate(self._connections):
            connection.tpc_begin(connection.xid(1, gid, str(index)))
            connection.execute(UPDATE, (row,))
            connection.tpc_prepare()
        for connection in self._connections:
            connection.tpc_commit()


class InFlight:
    """Both databases at once, one round trip a phase, by libpq's simple queries."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._kept = [psycopg.connect(url, autocommit=True) for url in urls]
        self._connections = [connection.pgconn for connection in self._kept]
        self._rows = turns()

    def __call__(self) -> None:
        gid, update = next(_gids), UPDATE % next(self._rows)
        self._everywhere(f"BEGIN;{update};PREPARE TRANSACTION '{gid}-%d'")
        self._everywhere(f"COMMIT PREPARED '{gid}-%d'")

    def _everywhere(self, query: str) -> None:
        for index, connection in enumerate(self._connections):
            connection.send_query((query % index).encode())
        waiting = list(self._connections)
        while waiting:
            readable = select.select([each.socket for each in waiting], [], [])[0]
            waiting = [
                each for each in waiting if each.socket not in readable or not _finished(each)
            ]


def _finished(connection: PGconn) -> bool:
    connection.consume_input()
    while not connection.is_busy():
        result = connection.get_result()
        if result is None:
            return True
        if result.status != ExecStatus.COMMAND_OK:
            raise RuntimeError(result.error_message.decode())
    return False
