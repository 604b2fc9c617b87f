"""What other apps may ask by Celery task, in JSON."""

from collections.abc import Sequence
from typing import Any

from coordination import signatures
from coordination.exceptions import InvalidArgument
from coordination.kernel.gids import is_gid
from coordination.transactions import runner, situations
from coordination.transactions.api import distributed_transaction
from coordination.transactions.coordinator import store
from coordination.transactions.explaining import Explanation
from coordination.transactions.ordering import Step
from coordination.transactions.types import Outcome, Standing


def begin(
    name: str,
    branches: list[dict[str, Any]],
    *,
    op_id: str,
    key: str | None = None,
    then: dict[str, Any] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Begin a transaction once for `key`, or else for `op_id`. Raises CoordinationError."""
    if key is None and not (isinstance(op_id, str) and op_id):
        raise InvalidArgument(f"a key or an op_id is needed to begin once, not {op_id!r:.80}.")
    if "wait" in options:
        raise InvalidArgument("begin never waits: pass then= to go on after the decision.")
    transaction = distributed_transaction(
        name,
        key=f"op:{op_id}" if key is None else key,
        wait=False,
        then=None if then is None else signatures.allowed(then),
        **options,
    )
    if not isinstance(branches, list):
        raise InvalidArgument(f"branches must be a list, not {type(branches).__name__}.")
    steps: list[Step] = []
    for branch in branches:
        steps.append(transaction.enlist(_named(branch), **_placed(branch, steps)))
    return {"gid": transaction.submit()}


def status(gid: str) -> dict[str, Any]:
    """How a transaction stands, and what it waits for.

    Raises InvalidArgument when it is not known here.
    """
    told = _told(gid, _known(gid, store().standing(gid) if is_gid(gid) else None))
    return told | {"waits": _waits(situations.explained(gid))}


def _waits(explanation: Explanation) -> dict[str, Any] | None:
    if not explanation.next:
        return None
    retry_ms = explanation.retry_ms
    return {
        "next": explanation.next,
        "who": explanation.who,
        "blocks": list(explanation.blocks),
        "since": explanation.since_ms / 1000,
        "retry": None if retry_ms is None else retry_ms / 1000,
        "stuck": explanation.stuck,
        "holds_up": [one.sentence for one in explanation.radius],
    }


def cancel(gid: str, reason: str) -> dict[str, Any]:
    """Abort a transaction unless it is decided; tells how it stands then."""
    if not isinstance(reason, str):
        raise InvalidArgument(f"reason must be a str, not {reason!r:.80}.")
    standing = runner.decide(gid, Outcome.ABORTED, reason=reason) if is_gid(gid) else None
    if standing is not None and standing.decided_now:
        runner.advance(gid)
    return _told(gid, _known(gid, standing))


def _named(branch: object) -> str:
    if (
        not isinstance(branch, dict)
        or set(branch) - {"participant", "args", "after", "pivot"}
        or not isinstance(branch.get("args", {}), dict)
    ):
        raise InvalidArgument(f'a branch is {{"participant", "args": {{}}}}, not {branch!r:.200}.')
    name: str = branch.get("participant", "")
    return name


def _placed(branch: dict[str, Any], steps: Sequence[Step]) -> dict[str, Any]:
    """The arguments of `enlist`, with the steps that a step of a saga names by their numbers."""
    args = dict(branch.get("args", {}))
    if taken := {"after", "pivot"} & set(args):
        raise InvalidArgument(f"an argument of a participant cannot be called {min(taken)!r}.")
    if "pivot" in branch:
        args["pivot"] = branch["pivot"]
    after = branch.get("after")
    if after is not None:
        numbers = range(1, len(steps) + 1)
        if not isinstance(after, list) or any(
            type(number) is not int or number not in numbers for number in after
        ):
            raise InvalidArgument(
                f"after is a list of the numbers of branches before it, from 1, not {after!r:.80}."
            )
        args["after"] = [steps[number - 1] for number in after]
    return args


def _known(gid: str, standing: Standing | None) -> Standing:
    if standing is None:
        raise InvalidArgument(f"no transaction {gid!r:.80} is known: never begun, or forgotten.")
    return standing


def _told(gid: str, standing: Standing) -> dict[str, Any]:
    return {
        "gid": gid,
        "outcome": standing.outcome,
        "reason": standing.reason,
        "applied": standing.ended,
        "unfinished": standing.unfinished,
    }
