"""Only what is signed, by the right node, for this task, this node and this time, is taken."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordination.exceptions import BadSignature
from coordination.kernel.envelopes import SKEW_MS_MAX, Envelope, seal, sender_of, unseal

KEYS = {"2026-11": "s" * 32, "2026-05": "old" * 12}
ENVELOPE = Envelope(
    task="coordination.branch.finish",
    sender="bank",
    receiver="shop",
    nonce="abc",
    issued_ms=1_000_000,
    expires_ms=1_060_000,
    arguments={"gid": "bank-1", "seqs": [1, 2], "name": "Müller 😀"},
)
TEXTS = st.text(max_size=12)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def opened(message: Any, **changes: Any) -> Envelope:
    given = {"task": ENVELOPE.task, "receiver": "shop", "now_ms": 1_000_500} | changes
    keys = given.pop("keys", KEYS)
    assert sender_of(message) == message["from"]
    return unseal(message, keys, **given)


@given(st.dictionaries(TEXTS, JSON, max_size=4))
def test_what_was_sealed_is_what_is_opened(arguments: dict[str, Any]) -> None:
    envelope = replace(ENVELOPE, arguments=arguments)

    # As the broker carries it.
    assert opened(json.loads(json.dumps(seal(envelope, KEYS)))) == envelope


@given(st.sampled_from(["from", "key", "text", "mac"]), st.data())
def test_whatever_is_changed_is_refused(part: str, data: st.DataObject) -> None:
    message = seal(ENVELOPE, KEYS)
    place = data.draw(st.integers(0, len(message[part])))
    other = data.draw(st.characters())
    kept = data.draw(st.booleans())
    changed = message[part][:place] + other + message[part][place + kept :]
    if changed == message[part]:
        return
    with pytest.raises(BadSignature, match="is not signed by a key of that node"):
        opened(message | {part: changed})


@pytest.mark.parametrize("field", ["task", "to", "nonce", "issued", "expires", "arguments"])
def test_no_field_can_be_changed(field: str) -> None:
    message = seal(ENVELOPE, KEYS)
    said = json.loads(message["text"])
    said[field] = "x"
    with pytest.raises(BadSignature):
        opened(message | {"text": json.dumps(said, separators=(",", ":"))})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"task": "coordination.branch.prepare"}, "is for task coordination.branch.finish, not"),
        ({"receiver": "mail"}, "is for node 'shop', not for 'mail'"),
        ({"now_ms": ENVELOPE.expires_ms + 5_000}, "expired 5 s ago"),
        ({"now_ms": ENVELOPE.issued_ms - SKEW_MS_MAX - 1}, "look at the clocks"),
        ({"keys": {"2026-11": "other" * 8}}, "is not signed by a key of that node"),
        ({"keys": {"other": KEYS["2026-11"]}}, "is not signed by a key of that node"),
        ({"keys": {"other": ""}}, "is not signed by a key of that node"),
    ],
)
def test_what_is_signed_is_good_for_one_task_one_node_and_a_while(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(BadSignature, match=words):
        opened(seal(ENVELOPE, KEYS), **changes)


def test_at_the_edges_of_its_time_it_is_good() -> None:
    message = seal(ENVELOPE, KEYS)

    assert opened(message, now_ms=ENVELOPE.expires_ms) == ENVELOPE
    assert opened(message, now_ms=ENVELOPE.issued_ms - SKEW_MS_MAX) == ENVELOPE


def test_a_key_that_nobody_has_does_not_open_what_is_signed_with_no_secret() -> None:
    forged = seal(ENVELOPE, {"unknown": ""})
    with pytest.raises(BadSignature):
        opened(forged)


def test_the_first_key_signs_and_all_are_accepted() -> None:
    assert seal(ENVELOPE, KEYS)["key"] == "2026-11"
    assert opened(seal(ENVELOPE, {"2026-05": KEYS["2026-05"]})) == ENVELOPE


def not_sealed() -> list[Callable[[dict[str, str]], object]]:
    return [
        lambda message: None,
        lambda message: [],
        lambda message: "text",
        lambda message: {},
        lambda message: {**message, "more": "x"},
        lambda message: {part: message[part] for part in ("from", "key", "text")},
        lambda message: {**message, "mac": None},
        lambda message: {**message, "text": {"task": "x"}},
        lambda message: {**message, "text": "x" * (8 * 1024 * 1024 + 1)},
    ]


@pytest.mark.parametrize("change", not_sealed())
def test_what_is_no_sealed_message_is_refused(change: Callable[[Any], object]) -> None:
    with pytest.raises(BadSignature):
        sender_of(change(seal(ENVELOPE, KEYS)))
