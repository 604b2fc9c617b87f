"""Judge what ended, and the history of locks, counters and queues, again; exit 1 if it broke."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import CommandError

from coordination import conf
from coordination.counters.rejudging import rejudge as rejudge_counters
from coordination.locks import rejudging
from coordination.queues import rejudging as queue_rejudging
from coordination.queues.stores import counting
from coordination.transactions import ended
from coordination.transactions.examination import Examiner
from coordination.transactions.judging import EndedTransaction, Finding

PAGE = 200
BROKEN, UNPROVEN = 1, 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of `manage.py concord verify`."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--gid", action="append", help="a transaction; may be given several times")
    which.add_argument("--all", action="store_true", help="all there is; the default")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def handle(options: Mapping[str, Any]) -> int:
    """Returns 0 when no rule is broken, 1 with findings, 2 when some could not be judged.

    Raises CommandError for a gid that is not an ended transaction.
    """
    examiner = Examiner(node=conf.current().node)
    judged = unseen = asked = 0
    findings: list[Finding] = []
    dead: dict[str, str] = {}
    for page in _pages(options["gid"]):
        examination = examiner.examine(page)
        asked += len(page)
        judged += len(examination.judged)
        unseen += examination.unseen_branches
        findings += examination.findings
        dead |= examination.dead
    report = {
        "judged": judged,
        "not_judged": asked - judged,
        "unseen_branches": unseen,
        "unreachable": dead,
        "findings": [
            {
                "gid": finding.gid,
                "seq": finding.seq,
                "kind": finding.kind.value,
                "sentence": finding.sentence,
                "evidence": dict(finding.evidence),
            }
            for finding in findings
        ],
    }
    broken, unproven = bool(findings), judged < asked
    if options["gid"] is None:
        locks = rejudging.rejudge(conf.current().transactions.using)
        report["locks"] = locks.as_json()
        broken, unproven = broken or bool(locks.findings), unproven or locks.counts.gaps > 0
        counters = rejudge_counters(conf.current().transactions.using)
        report["counters"] = counters.as_json()
        broken |= bool(counters.findings)
        unproven |= counters.counts.gaps > 0
        queues = queue_rejudging.rejudge(conf.current().transactions.using, counting.counters())
        report["queues"] = queues.as_json()
        broken |= bool(queues.findings)
        unproven |= queues.counts.gaps > 0 or bool(queues.uncounted)
    sys.stdout.write(json.dumps(report, indent=2) + "\n" if options["json"] else _text(report))
    if broken:
        return BROKEN
    return UNPROVEN if unproven else 0


def _pages(gids: list[str] | None) -> Iterator[list[EndedTransaction]]:
    settings = conf.current().transactions
    using, within_ms = settings.using, settings.retention_ms
    if gids is not None:
        known = ended.named(using, gids, within_ms=within_ms)
        missing = sorted(set(gids) - {transaction.gid for transaction in known})
        if missing:
            raise CommandError(
                "not an ended transaction here within the retention: " + ", ".join(missing)
            )
        yield known
        return
    after = ""
    while page := ended.page(using, after=after, limit=PAGE, within_ms=within_ms):
        yield page
        after = page[-1].gid


def _text(report: Mapping[str, Any]) -> str:
    lines = [
        f"{finding['kind']}  {finding['gid']}  {finding['sentence']}"
        for finding in report["findings"]
    ]
    lines.append(f"{report['judged']} transactions judged, {len(report['findings'])} findings")
    if report["unseen_branches"]:
        lines.append(f"{report['unseen_branches']} branches are on other nodes, not seen from here")
    if report["not_judged"]:
        lines.append(
            f"{report['not_judged']} not judged: their databases or the sweeper must answer"
        )
    lines += [f"cannot see {why}" for why in report["unreachable"].values()]
    if (locks := report.get("locks")) is not None:
        lines += [
            f"{each['kind']}  {each['key']}  {each['sentence']}" for each in locks["findings"]
        ]
        lines.append(
            f"{locks['grants']} grants of locks judged, {len(locks['findings'])} findings, "
            f"{locks['gaps']} gaps"
        )
    if (counters := report.get("counters")) is not None:
        lines += [
            f"{each['kind']}  {each['key']}  {each['sentence']}" for each in counters["findings"]
        ]
        lines.append(
            f"{counters['changes']} changes of counters judged, {len(counters['findings'])} "
            f"findings, {counters['gaps']} gaps"
        )
    if (queues := report.get("queues")) is not None:
        lines += [
            f"{each['kind']}  {each['key']}  {each['sentence']}" for each in queues["findings"]
        ]
        lines.append(
            f"{queues['messages']} messages of {queues['queues']} queues counted, "
            f"{queues['acked']} acks judged, {len(queues['findings'])} findings, "
            f"{queues['gaps']} gaps"
        )
        lines += [f"cannot count {why}" for why in queues["uncounted"]]
    return "\n".join(lines) + "\n"
