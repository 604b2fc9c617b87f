"""What an operator may do to a verdict: acknowledge violations, with a name and a reason."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models.functions import Now

from coordination.intervening.reasons import require_actor, require_reason
from coordination.observing.records import Violation


def acknowledge(violations: Sequence[int], *, actor: str, reason: str) -> int:
    """Close open violations by id; the verdict turns with the auditor's next pass.

    Returns how many were open. They stay on record and are counted as acknowledged.
    Raises InvalidArgument without an actor or a reason of at least ten characters.
    """
    require_actor(actor)
    require_reason(reason)
    still_open = Violation.objects.filter(id__in=violations, acknowledged_at__isnull=True)
    return still_open.update(
        acknowledged_at=Now(), acknowledged_by=actor, acknowledged_reason=reason
    )
