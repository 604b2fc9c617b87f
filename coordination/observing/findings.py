"""Broken rules on their way into the records: each is kept once, however often it is found."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from coordination.connections.database import Statement

PLACE_MAX: Final = 32_767

_RECORD: Final = """
INSERT INTO concord_violation
    (verdict, gid, branch_seq, kind, sentence, evidence, found_at,
     acknowledged_by, acknowledged_reason)
SELECT %s, subject, place, kind, sentence, evidence, clock_timestamp(), '', ''
FROM jsonb_to_recordset(%s::jsonb)
    AS x(subject text, place smallint, kind text, sentence text, evidence jsonb)
ON CONFLICT (verdict, gid, branch_seq, kind) DO NOTHING
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One rule, broken once: of what, where in it, and how it is known."""

    subject: str
    place: int
    """At most `PLACE_MAX`."""
    kind: str
    sentence: str
    evidence: Mapping[str, Any]


def record(verdict: str, found: Sequence[Broken]) -> list[Statement]:
    """Records what was found; no statement when nothing was."""
    if not found:
        return []
    rows = [asdict(each) | {"evidence": dict(each.evidence)} for each in found]
    return [Statement(_RECORD, (verdict, json.dumps(rows)))]
