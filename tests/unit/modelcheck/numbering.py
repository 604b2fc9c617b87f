"""Branches and heads of states as small numbers, so that many states can be compared fast."""

from tests.unit.modelcheck.world import Branch, Caller, State

Packed = tuple[int, ...]
"""The number of a state's head, then those of its branches."""
Head = tuple[str, str, tuple[str, ...], str, Caller | None]


class Numbering:
    """Numbers given in the order of first appearance, and back.

    `ordered`: branches have places in an order, so that equal ones cannot be exchanged.
    """

    def __init__(self, *, ordered: bool = False) -> None:
        self._ordered = ordered
        self.branches: list[Branch] = []
        self.heads: list[Head] = []
        self._branch_numbers: dict[Branch, int] = {}
        self._head_numbers: dict[Head, int] = {}
        self._bare_numbers: dict[int, int] = {}
        self._ranks: list[tuple[str, int]] = []

    def branch(self, branch: Branch) -> int:
        number = self._branch_numbers.setdefault(branch, len(self.branches))
        if number == len(self.branches):
            self.branches.append(branch)
            self._ranks.append((str(branch.kind), number))
        return number

    def head(self, head: Head) -> int:
        number = self._head_numbers.setdefault(head, len(self.heads))
        if number == len(self.heads):
            self.heads.append(head)
        return number

    def packed(self, state: State) -> Packed:
        """One representative of the states that differ in the numbering of equal branches alone."""
        head = self.head(state[:5])
        return self.sorted(head, [self.branch(branch) for branch in state.branches])

    def sorted(self, head: int, branches: list[int]) -> Packed:
        """As `packed`. The caller goes through its branches in their order, which is then kept."""
        if self.heads[head][4] is None and not self._ordered:
            branches.sort(key=self._ranks.__getitem__)
        return (head, *branches)

    def apart(self, state: State) -> list[Packed]:
        """Each branch of a state as a state of its own."""
        head = self.head(state[:5])
        return [(head, self.branch(branch)) for branch in state.branches]

    def bare(self, packed: Packed) -> Packed:
        """The state without what is in flight, wished or told."""
        outcome, _, _, then, caller = self.heads[packed[0]]
        head = self.head((outcome, "", (), then, caller))
        return self.sorted(head, [self._bare(number) for number in packed[1:]])

    def _bare(self, number: int) -> int:
        if number not in self._bare_numbers:
            self._bare_numbers[number] = self.branch(self.branches[number]._replace(sent=""))
        return self._bare_numbers[number]

    def state(self, packed: Packed) -> State:
        branches = tuple([self.branches[number] for number in packed[1:]])
        return State(*self.heads[packed[0]], branches)
