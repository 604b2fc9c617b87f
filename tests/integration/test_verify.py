"""`manage.py concord verify`: the judge again, on demand."""

import json
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from coordination import conf
from coordination.observing.records import Verdict
from coordination.transactions.auditor import Auditor
from tests.integration import ledger
from tests.integration.ledger import execute
from tests.integration.observing import move

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "bank_a", "bank_b"])


@pytest.fixture(autouse=True)
def _ledgers(transactional_db: None) -> Iterator[None]:
    with ledger.ledgers():
        yield


def verify(*arguments: str) -> tuple[int, dict[str, Any]]:
    """Exit status and report of `manage.py concord verify --json`."""
    out, status = StringIO(), 0
    with redirect_stdout(out):
        try:
            call_command("concord", "verify", "--json", *arguments)
        except SystemExit as exit_:
            status = int(exit_.code or 0)
    return status, json.loads(out.getvalue())


def test_verify_judges_again_what_was_audited() -> None:
    good, bad = move(), move()
    Auditor("default", node=conf.current().node).step()
    assert Verdict.objects.get().state == "HOLDS"
    status, report = verify("--all")
    locks, counters, queues = (report.pop(word) for word in ("locks", "counters", "queues"))
    assert (counters["changes"], counters["findings"], queues["findings"]) == (0, [], [])
    assert (status, locks["grants"], locks["findings"]) == (0, 0, [])
    assert report == {
        "judged": 2,
        "not_judged": 0,
        "unseen_branches": 0,
        "unreachable": {},
        "findings": [],
    }
    execute("bank_b", "DELETE FROM concord_witness WHERE branch_gid = %s", f"cc:{bad}:2")
    status, report = verify()

    assert status == 1
    assert [(f["gid"], f["kind"]) for f in report["findings"]] == [(bad, "missing_witness")]
    assert verify("--gid", good)[0] == 0
    assert verify("--gid", bad)[0] == 1
    with pytest.raises(CommandError, match="not an ended transaction"):
        verify("--gid", "bank-key-" + "0" * 32)


def test_verify_says_when_it_could_not_see(monkeypatch: pytest.MonkeyPatch) -> None:
    move()
    with monkeypatch.context() as broken:
        broken.setitem(connections["bank_b"].settings_dict, "PORT", 1)
        connections["bank_b"].close()
        status, report = verify()
    connections["bank_b"].close()

    assert status == 2
    assert (report["judged"], report["not_judged"]) == (0, 1)
    assert report["unreachable"].keys() == {"bank_b"}
