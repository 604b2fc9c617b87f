"""Each verb of a counter that stands at 10: the call, its answer, value and version after it."""

from collections.abc import Callable
from typing import Any

VERBS: dict[str, tuple[Callable[[Any], Any], Any, tuple[int, int]]] = {
    "add": (lambda c: c.add(3), 13, (13, 2)),
    "add with an op id": (lambda c: c.add(3, op_id="x"), 13, (13, 2)),
    "add_many": (lambda c: c.add_many([1, (2, "x"), 1]), [11, 13, 14], (14, 4)),
    "compare_and_set": (lambda c: c.compare_and_set(10, 5), True, (5, 2)),
    "compare_and_set with an op id": (lambda c: c.compare_and_set(10, 5, op_id="x"), True, (5, 2)),
    "compare_and_set that writes nothing": (
        lambda c: c.compare_and_set(9, 5, op_id="x"),
        False,
        (10, 1),
    ),
    "set": (lambda c: c.set(7), 7, (7, 2)),
    "set with an op id": (lambda c: c.set(7, op_id="x"), 7, (7, 2)),
    "reset": (lambda c: c.reset(), 0, (0, 2)),
    "reset with an op id": (lambda c: c.reset(op_id="x"), 0, (0, 2)),
}
