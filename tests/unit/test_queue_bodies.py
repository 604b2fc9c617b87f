"""Bodies of messages as they are read, whoever wrote them."""

import json
from typing import Any

import pytest

from coordination.exceptions import InvalidArgument
from coordination.kernel.arguments import json_value
from coordination.queues.delivery import _read


@pytest.mark.parametrize(
    ("text", "value"),
    [('{"a":[1,null]}', {"a": [1, None]}), (' "x" \n', "x"), ("0", 0), ('"é"', "é")],
)
def test_a_body_is_read_with_or_without_space_around_it(text: str, value: Any) -> None:
    assert _read(text) == value


@pytest.mark.parametrize("text", ["", "{", "1 2", '"a" b'])
def test_what_is_no_json_is_an_error_and_not_half_read(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        _read(text)


@pytest.mark.parametrize("character", ["a", "é", "€", "😀"])
def test_the_limit_of_a_body_is_in_bytes_to_the_byte(character: str) -> None:
    width = len(character.encode())
    body = character * 100
    size = 100 * width + 2
    assert json_value(body, what="x", bytes_max=size) == f'"{body}"'
    with pytest.raises(InvalidArgument, match=f"takes {size} bytes as JSON; the limit is"):
        json_value(body, what="x", bytes_max=size - 1)
