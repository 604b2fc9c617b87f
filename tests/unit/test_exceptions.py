"""The exception tree answers what a caller needs to know."""

import pickle

import pytest

from coordination import exceptions
from coordination.exceptions import CoordinationError

LEAVES = CoordinationError.__subclasses__()
BUILTINS = {
    exceptions.StoreUnavailable: ConnectionError,
    exceptions.OutcomeUnknown: TimeoutError,
    exceptions.NotSupportedByStore: NotImplementedError,
    exceptions.InvalidName: ValueError,
    exceptions.InvalidArgument: ValueError,
    exceptions.StaleToken: RuntimeError,
    exceptions.ConflictError: RuntimeError,
    exceptions.UnknownParticipant: LookupError,
    exceptions.TransactionAborted: RuntimeError,
}


@pytest.mark.parametrize(("leaf", "builtin"), BUILTINS.items())
def test_each_leaf_is_caught_as_the_builtin_a_python_user_would_name(
    leaf: type[CoordinationError], builtin: type[Exception]
) -> None:
    with pytest.raises(builtin):
        raise leaf("broken", name="order:42", store="redis", reason="because")


@pytest.mark.parametrize("leaf", BUILTINS)
def test_each_leaf_survives_the_journey_between_processes(leaf: type[CoordinationError]) -> None:
    error = leaf("broken", name="order:42", store="redis", reason="because")

    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert str(arrived) == "broken"
    assert vars(arrived) == vars(error)


def test_only_an_unknown_outcome_may_have_been_applied() -> None:
    unknown = [leaf for leaf in BUILTINS if leaf.applied is None]

    assert unknown == [exceptions.OutcomeUnknown]
    assert all(leaf.applied is False for leaf in BUILTINS if leaf not in unknown)


def test_the_code_is_the_class_name_in_snake_case() -> None:
    assert exceptions.NotSupportedByStore.code == "not_supported_by_store"
    assert exceptions.TransactionAborted().code == "transaction_aborted"


def test_without_a_message_the_docstring_speaks() -> None:
    assert str(exceptions.StoreUnavailable()) == exceptions.StoreUnavailable.__doc__


def test_an_abort_names_its_transaction_and_reason() -> None:
    error = exceptions.TransactionAborted("no", gid="bank-1", reason="insufficient funds")

    arrived = pickle.loads(pickle.dumps(error))  # noqa: S301

    assert (arrived.gid, arrived.reason) == ("bank-1", "insufficient funds")
