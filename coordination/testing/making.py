"""`participant_contract`: a contract from functions, where no class is wanted."""

from collections.abc import Callable, Mapping
from typing import Any

from coordination.testing.contract import ParticipantContract


def participant_contract(
    participant: str,
    *,
    args: Callable[[], Mapping[str, Any]],
    observe: Callable[[], Any],
    effect: Callable[[Any], Any] | None = None,
    refused_args: Callable[[], Mapping[str, Any]] | None = None,
    disturb: Callable[[], None] | None = None,
) -> type[ParticipantContract]:
    """A class of tests for a registered participant; assign it to a name of the test module.

    Args:
        participant: the name that is enlisted.
        args: makes arguments for one branch.
        observe: reads what its work changes, afresh.
        effect: from what was observed before to what is after one commit; where it is not given,
            `observe` returns numbers, or dicts and lists of them.
        refused_args: makes arguments to which it votes no.
        disturb: changes, between prepare and its end, what a commit could stumble over.
    """
    given: dict[str, Any] = {
        "participant": participant,
        "args": lambda _self: args(),
        "observe": lambda _self: observe(),
    }
    if effect is not None:
        given["effect"] = lambda _self, before: effect(before)
    if refused_args is not None:
        given["refused_args"] = lambda _self: refused_args()
    if disturb is not None:
        given["disturb"] = lambda _self: disturb()
    return type("ParticipantContract", (ParticipantContract,), given)
