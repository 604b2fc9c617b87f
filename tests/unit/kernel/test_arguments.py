"""Arguments of a call: what is carried, what is refused, and that equal calls look equal."""

import json
import math
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.exceptions import InvalidArgument
from coordination.kernel.arguments import INTEGER_MAX, json_arguments

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-INTEGER_MAX, INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | text
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(text, values, max_size=5))
def test_what_is_accepted_arrives_unchanged(arguments: dict[str, object]) -> None:
    assert json.loads(json_arguments(arguments, what="pay")) == arguments


@given(st.dictionaries(text, values, max_size=5))
def test_the_order_of_keys_does_not_change_the_text(arguments: dict[str, object]) -> None:
    backwards = dict(reversed(arguments.items()))

    assert json_arguments(arguments, what="pay") == json_arguments(backwards, what="pay")


def test_other_arguments_have_another_text() -> None:
    assert json_arguments({"a": 1}, what="p") != json_arguments({"a": "1"}, what="p")


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Decimal("1.5"), "argument 'amount' of pay is of type Decimal"),
        (date(2026, 1, 1), "of type date"),
        (b"x", "of type bytes"),
        ({1, 2}, "of type set"),
        (math.nan, "is nan, which JSON cannot carry"),
        (math.inf, "is inf"),
        (INTEGER_MAX + 1, "beyond ±(2^53-1)"),
        (-INTEGER_MAX - 1, "beyond ±(2^53-1)"),
        ({1: "x"}, "has the key 1; keys must be str"),
        ({"rows": [1, object()]}, "at ['rows'] at [1] is of type object"),
        ("a\x00b", "NUL character"),
        ("\ud800", "lone surrogate"),
        (_nested(40), "nested deeper than 32"),
    ],
)
def test_what_cannot_be_carried_is_refused_naming_key_and_reason(
    value: object, message: str
) -> None:
    with pytest.raises(InvalidArgument) as caught:
        json_arguments({"amount": value}, what="pay")

    assert message in str(caught.value)
    assert "'amount'" in str(caught.value)


def test_a_structure_that_holds_itself_is_refused() -> None:
    loop: list[object] = []
    loop.append(loop)

    with pytest.raises(InvalidArgument, match="nested deeper"):
        json_arguments({"loop": loop}, what="pay")


def test_too_large_arguments_are_refused_naming_size_and_limit() -> None:
    with pytest.raises(InvalidArgument, match=r"take 110 bytes as JSON; the limit is 100"):
        json_arguments({"text": "x" * 99}, what="pay", bytes_max=100)

    assert json_arguments({"text": "x" * 89}, what="pay", bytes_max=100)
