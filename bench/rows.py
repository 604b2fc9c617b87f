"""The rows that every case updates: one table in each database."""

import itertools
from collections.abc import Iterator

from django.db import connections

ROWS = 1024
UPDATE = "UPDATE bench_row SET value = value + 1 WHERE id = %s"
DATABASES = ("default", "bank_a", "bank_b")
_CREATE = """
DROP TABLE IF EXISTS bench_row;
CREATE TABLE bench_row (id int PRIMARY KEY, value int NOT NULL) WITH (fillfactor = 50);
INSERT INTO bench_row SELECT id, 0 FROM generate_series(1, %s) AS id;
"""


def create() -> None:
    """Create the table afresh in every database."""
    for using in DATABASES:
        with connections[using].cursor() as cursor:
            cursor.execute(_CREATE, (ROWS,))


def turns(part: int = 0, parts: int = 1) -> Iterator[int]:
    """Row ids for ever; of `parts` threads each has its own, so that nobody waits for a row."""
    own = range(1 + part, 1 + ROWS - ROWS % parts, parts)
    return itertools.cycle(own)
