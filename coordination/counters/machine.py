"""What becomes of a change: the one rule, for every store that decides in Python. Pure.

`stores/add.lua`, `stores/change.lua` and the SQL function say the same.
"""

from coordination.counters.holding import Room
from coordination.counters.types import Answer, Change, Ending, Reading, Rules, Verb

NO_HOLDS = Room()


def decide(rules: Rules, stands: Reading, change: Change, held: Room = NO_HOLDS) -> Answer:
    """The answer to `change` of a counter as it stands; only DONE writes, the next version.

    It leaves room for what open transactions hold (`held`).
    """
    value, version = stands
    if change.expected is not None and value != change.expected:
        return Answer(Ending.MISMATCH, value, version, change.said)
    if change.verb is Verb.ADD:
        new = value + change.number
        allowed = held.allows_adding(rules, value, change.number)
    else:
        new = change.number
        allowed = held.allows(rules, new)
    if not allowed:
        return Answer(Ending.EXCEEDED, value, version, change.said)
    return Answer(Ending.DONE, new, version + 1, change.said)
