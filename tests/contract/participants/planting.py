"""A plugin of the inner run of pytest: sets Django up on the databases of the outer one.

It adds a database of its own, `lite`, a file of SQLite.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from django.conf import settings

django.setup(set_prefix=False)

from tests.contract import places  # noqa: E402

SERVICES = json.loads(os.environ["PLANTED_SERVICES"])
"""Name → [URL, its database]."""
KEYS = {"2026": "s" * 32}
settings.COORDINATION = settings.COORDINATION | {
    "HTTP_PARTICIPANTS": {
        f"far.{name}.*": {"URL": url, "KEYS": KEYS, "PLAIN_HTTP": True}
        for name, (url, _path) in SERVICES.items()
    }
}


@pytest.fixture(scope="session")
def lite() -> Iterator[None]:
    """The database of SQLite, with a ledger."""
    with places.sqlite(Path(os.environ["PLANTED_FOLDER"])):
        places.execute(places.LITE, "CREATE TABLE ledger (id int PRIMARY KEY, amount int)")
        places.execute(places.LITE, "INSERT INTO ledger VALUES (1, 100)")
        yield
