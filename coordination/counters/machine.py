"""What becomes of a change: the one rule, for every store that decides in Python. Pure.

`stores/add.lua`, `stores/change.lua` and the SQL function say the same.
"""

from coordination.counters.types import Answer, Change, Ending, Reading, Rules, Verb


def decide(rules: Rules, stands: Reading, change: Change) -> Answer:
    """The answer to `change` of a counter as it stands; only DONE writes, the next version."""
    value, version = stands
    if change.verb is Verb.COMPARE_AND_SET and value != change.expected:
        return Answer(Ending.MISMATCH, value, version, change.said)
    new = value + change.number if change.verb is Verb.ADD else change.number
    if not rules.lowest <= new <= rules.highest:
        return Answer(Ending.EXCEEDED, value, version, change.said)
    return Answer(Ending.DONE, new, version + 1, change.said)
