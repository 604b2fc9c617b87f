"""Messages to participants and continuations, through Celery.

Sending is the fast path only: what the broker loses or refuses, the sweeper sends again. So a
broker that is down is logged and never an error of the caller, whose rows are durable.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from celery import Signature, current_app
from celery.exceptions import OperationalError

from coordination.failpoints import hit
from coordination.transactions import peers
from coordination.transactions.types import Outcome, Phase

logger = logging.getLogger(__name__)

TASKS = {
    Phase.PREPARE: "coordination.branch.prepare",
    Phase.PRECOMMIT: "coordination.branch.precommit",
    Phase.FINISH: "coordination.branch.finish",
}
QUEUES = {Phase.PREPARE: "prepare", Phase.PRECOMMIT: "finish", Phase.FINISH: "finish"}
"""What is prepared holds locks, so what brings it to its end waits for no preparing."""
VOTE_TASK = "coordination.transaction.vote"


def send(
    phase: Phase,
    *,
    gid: str,
    seqs: Sequence[int],
    node: str,
    brief: Mapping[str, Any] | None = None,
) -> bool:
    """Ask branches of `node` to do a phase. `brief` tells a peer, without our tables, what to do.

    Returns whether the broker took the message.
    """
    hit("tx.publish.before")
    task, asked = TASKS[phase], {"gid": gid, "seqs": list(seqs)}
    if brief is None:
        taken = _send_task(task, asked, gid=gid, queue=f"{node}.{QUEUES[phase]}")
    else:
        message = peers.sealed(task, node, asked | {"brief": dict(brief)})
        taken = _send_task(task, {"sealed": message}, gid=gid, queue=f"{node}.{QUEUES[phase]}")
    hit("tx.publish.after")
    return taken


def report(kind: str, *, gid: str, seq: int, node: str, facts: Mapping[str, Any]) -> bool:
    """Tell a peer, whose tables are out of reach, a vote or an ending."""
    told = {"gid": gid, "seq": seq, "kind": kind, "facts": dict(facts)}
    message = peers.sealed(VOTE_TASK, node, told)
    return _send_task(VOTE_TASK, {"sealed": message}, gid=gid, queue=f"{node}.decide")


def start(payload: Mapping[str, Any], *, task_id: str | None = None, answer: Any = None) -> bool:
    """Send a stored signature; `answer` becomes its first argument unless it is immutable."""
    signature: Signature[Any] = Signature.from_dict(dict(payload), app=current_app)
    args = (answer,) if answer is not None else ()
    try:
        # One try, and not a second more than a caller can wait: the sweeper is the second try.
        signature.apply_async(args=args, task_id=task_id, retry=False)
    except (OperationalError, OSError) as error:
        logger.warning("could not send %s: %s", payload.get("task"), error)
        return False
    return True


def decision_answer(gid: str, outcome: Outcome, reason: str) -> dict[str, Any]:
    """What a continuation is given."""
    return {"ok": outcome is Outcome.COMMITTED, "gid": gid, "code": str(outcome), "reason": reason}


def _send_task(name: str, kwargs: dict[str, Any], *, gid: str, queue: str) -> bool:
    # Celery would spell all arguments out once more, for logs and monitors; the id finds the rest.
    shown = f"{{'gid': {gid!r}, ...}}"
    try:
        current_app.send_task(
            name,
            kwargs=kwargs,
            queue=queue,
            ignore_result=True,
            retry=False,
            argsrepr="()",
            kwargsrepr=shown,
        )
    except (OperationalError, OSError) as error:
        logger.warning("could not send %s to %s: %s", name, queue, error)
        return False
    return True
