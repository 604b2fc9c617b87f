"""What the bank's clerks count, so that the dashboard shows counters that live."""

import random
import secrets

from coordination import counter
from coordination.exceptions import BoundExceeded

CHAIRS = 12
"""So many customers fit into the branch."""
LETTERS_MAX = 5


def count_customers(clerk: str, chance: random.Random) -> None:
    """One comes in or leaves; the doorman lets nobody in while every chair is taken."""
    inside = counter("branch:customers", minimum=0, maximum=CHAIRS)
    comes = chance.random() < 0.55
    try:
        inside.add(1 if comes else -1, op_id=f"{clerk}-{secrets.token_hex(4)}")
    except BoundExceeded:
        return


def count_letters(_clerk: str, chance: random.Random) -> None:
    """Some letters go out."""
    counter("letters:sent").add(chance.randint(1, LETTERS_MAX))


def number_a_statement(clerk: str, _chance: random.Random) -> None:
    """The next number, which nobody else gets: whoever was second leaves it for later."""
    numbers = counter("statement:number", initial=1_000)
    last = numbers.get()
    numbers.compare_and_set(last, last + 1, op_id=f"{clerk}-{secrets.token_hex(4)}")


def count_a_look(_clerk: str, _chance: random.Random) -> None:
    """Somebody looks into a file; in a database it is counted in several rows, so none waits."""
    counter("files:looked-at", using="database", shards=4).add(1)
