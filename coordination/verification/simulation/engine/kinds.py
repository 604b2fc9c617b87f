"""What a branch is in the simulation: its mode, its form, and where it stands in an order."""

from dataclasses import dataclass

from coordination.transactions.types import Form, Mode


@dataclass(frozen=True, slots=True)
class Kind:
    """A branch's mode and form. `after` names by seq the branches that it comes after."""

    mode: Mode
    form: Form = Form.PREPARE
    after: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Shape:
    """The branches of a transaction, and whether all run in the caller's process.

    With `peers` some of them are of a node that does not reach the coordinator's rows.
    """

    kinds: tuple[Kind, ...]
    inline: bool = False
    peers: bool = False
