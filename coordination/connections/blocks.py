"""What an error does to the `atomic()` block that is open around it."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, models

from coordination.connections.deadlines import answering, writing


@contextmanager
def unharmed(using: str, *refusals: type[Exception]) -> Iterator[None]:
    """Keep the block around usable when one of `refusals` is raised: nothing was written then.

    Django takes any error inside a save for one of the database's and dooms the block. A refusal is
    told by a statement that succeeded and matched no row, so the caller may catch it and go on.
    """
    connection = connections[using]
    sound = connection.in_atomic_block and not connection.needs_rollback
    try:
        yield
    except refusals:
        if sound:
            connection.needs_rollback = False
        raise


@contextmanager
def saving(model: type[models.Model], using: str, *refusals: type[Exception]) -> Iterator[None]:
    """The block in which a row of `model` is saved, so that a refusal leaves nothing written.

    Raises OutcomeUnknown or StoreUnavailable when the server does not answer.
    """
    # Of several tables one may have been written before the refusal.
    concrete = model._meta.concrete_model
    if concrete is not None and concrete._meta.parents:
        with writing(using):
            yield
    else:
        with answering(using), unharmed(using, *refusals):
            yield
