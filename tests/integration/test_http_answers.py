"""What an HTTP participant may answer, and how little of anything else is believed."""

import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from coordination.connections import http
from coordination.connections.http import ANSWER_BYTES_MAX, Unanswered
from coordination.transactions.branches.answer import Later
from coordination.transactions.branches.http import finish, finish_all, prepare, prepare_all
from coordination.transactions.types import (
    Actual,
    Ballot,
    Form,
    Mode,
    Outcome,
    Result,
    Vote,
    Work,
)
from tests.conftest import missing
from tests.integration.forked_child import fork, succeeded
from tests.integration.http_service import called
from tests.integration.scripted_service import Answer, Scripted, scripted

WORK = Work(
    gid="bank-00000001-0000000000000001",
    seq=1,
    participant="far.add",
    using="",
    mode=Mode.HTTP,
    form=Form.PREPARE,
    args={"n": 1},
    remaining_ms=5_000,
)


@pytest.fixture
def service() -> Iterator[Scripted]:
    with scripted() as running, called(running.url, timeout=2):
        yield running
        http.close_idle()


def trickle(bytes_at_once: int, server: Scripted) -> Any:
    """Write for ever, a little at a time, as a slow or hostile service does."""

    def write(to: Any, body: bytes) -> None:
        for index in range(0, len(body), bytes_at_once):
            to.write(body[index : index + bytes_at_once])
            to.flush()
            if server.done.wait(0.05):
                return

    return write


@pytest.mark.parametrize(
    ("body", "vote", "actual"),
    [
        (b"", Vote.YES, None),
        (b"{}", Vote.YES, None),
        (b'{"vote": "yes", "more": 1}', Vote.YES, None),
        (b'{"vote": "read_only"}', Vote.READ_ONLY, Actual.READ_ONLY),
    ],
)
def test_200_is_a_yes(service: Scripted, body: bytes, vote: Vote, actual: Actual | None) -> None:
    service.answer = Answer(body=body)
    ballot = prepare(WORK)

    assert (ballot.vote, ballot.actual) == (vote, actual)


def test_409_is_a_no_which_is_cancelled_all_the_same(service: Scripted) -> None:
    service.answer = Answer(status=409, body=b'{"reason": "sold out"}')
    ballot = prepare(WORK)

    assert (ballot.vote, ballot.actual, ballot.reason) == (Vote.NO, None, "sold out")


def test_a_no_that_left_its_work_is_a_heuristic(service: Scripted) -> None:
    service.answer = Answer(status=409, body=b'{"reason": "oh", "committed": true}')

    assert prepare(WORK).actual is Actual.HEURISTIC_COMMIT


def test_the_question_says_all_that_a_service_needs(service: Scripted) -> None:
    prepare(WORK)
    finish(WORK, Outcome.COMMITTED)
    finish(WORK, Outcome.ABORTED)
    asked = [json.loads(body) for body in service.asked]

    assert [question["phase"] for question in asked] == ["prepare", "commit", "cancel"]
    assert asked[0] == {
        "version": 1,
        "phase": "prepare",
        "gid": WORK.gid,
        "branch": f"cc:{WORK.gid}:1",
        "participant": "far.add",
        "args": {"n": 1},
        "remaining_ms": 5_000,
        "attempt": 1,
    }
    assert asked[1]["remaining_ms"] is None


@pytest.mark.parametrize(
    ("headers", "retry_ms"),
    [
        ({"Retry-After": "7"}, 7_000),
        ({"Retry-After": "86400"}, 60_000),
        ({"Retry-After": "-1"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}, 0),
        ({}, 0),
    ],
)
def test_425_is_asked_again_when_it_says_within_bounds(
    service: Scripted, headers: dict[str, str], retry_ms: int
) -> None:
    service.answer = Answer(status=425, headers=headers)
    for ask in (lambda: prepare(WORK), lambda: finish(WORK, Outcome.COMMITTED)):
        with pytest.raises(Later) as asked:
            ask()
        assert asked.value.retry_ms == retry_ms


@pytest.mark.parametrize("status", [201, 204, 301, 302, 307, 400, 401, 404, 500, 503])
def test_any_other_status_is_no_answer_even_if_signed(service: Scripted, status: int) -> None:
    service.answer = Answer(
        status=status,
        body=b"" if status == 204 else b"{}",
        headers={"Location": service.url + "elsewhere"},
    )
    with pytest.raises(Later, match=str(status)):
        prepare(WORK)
    with pytest.raises(Later):
        finish(WORK, Outcome.ABORTED)
    assert len(service.asked) == 2, "a redirect is not followed"


@pytest.mark.parametrize("status", [200, 409, 425])
def test_an_answer_that_the_service_did_not_sign_is_no_answer(
    service: Scripted, status: int
) -> None:
    service.answer = Answer(status=status, signed=False)
    with pytest.raises(Later, match="not signed"):
        prepare(WORK)


def test_an_answer_to_another_request_is_no_answer(service: Scripted) -> None:
    prepare(WORK)
    replayed = {"Concord-Signature": "v1=" + "a" * 64}
    service.answer = Answer(signed=False, headers=replayed)
    with pytest.raises(Later, match="not signed"):
        prepare(WORK)


@pytest.mark.parametrize(
    "body", [b"yes", b"[]", b'"yes"', b"{", b'{"vote": "maybe"}', b"\xff", b"[" * 60_000]
)
def test_a_body_that_makes_no_sense_is_no_answer(service: Scripted, body: bytes) -> None:
    service.answer = Answer(body=body)
    with pytest.raises(Later):
        prepare(WORK)


def test_an_answer_that_is_too_large_is_not_read(service: Scripted) -> None:
    service.answer = Answer(body=b" " * (ANSWER_BYTES_MAX + 1))
    with pytest.raises(Later, match="more than"):
        prepare(WORK)


def test_an_answer_without_end_is_not_read(service: Scripted) -> None:
    endless = b" " * 2**20
    service.answer = Answer(body=endless, headers={"Content-Length": str(2**60)})
    with pytest.raises(Later, match="more than"):
        prepare(WORK)


def test_an_answer_that_is_cut_off_is_no_answer(service: Scripted) -> None:
    service.answer = Answer(
        body=b"{}", headers={"Content-Length": "3"}, write=lambda to, body: to.write(body)
    )
    with pytest.raises(Later, match="cut off"):
        prepare(WORK)


@pytest.mark.parametrize("remaining_ms", [300, 5_000])
def test_an_answer_in_drops_takes_no_longer_than_the_whole_call_may(
    service: Scripted, remaining_ms: int
) -> None:
    service.answer = Answer(body=b" " * 10_000, write=trickle(1, service))
    begun = time.monotonic()
    with called(service.url, timeout=0.4), pytest.raises(Later, match="in time"):
        prepare(replace(WORK, remaining_ms=remaining_ms))

    assert time.monotonic() - begun < 1.5


def test_headers_in_drops_take_no_longer_either() -> None:
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(65_536)
                while not done.wait(0.05):
                    try:
                        client.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        begun = time.monotonic()
        with pytest.raises(Unanswered, match="in time"):
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            http.post(url, b"{}", {}, until=begun + 0.4)
        done.set()
        thread.join(timeout=10)

    assert time.monotonic() - begun < 1.5


def test_a_port_that_nobody_serves_is_no_answer() -> None:
    with called("http://127.0.0.1:1/"), pytest.raises(Later, match="Connection refused"):
        prepare(WORK)


def test_a_header_cannot_be_smuggled_in() -> None:
    with pytest.raises(ValueError, match="one line"):
        http.post("http://127.0.0.1:1/", b"", {"X": "a\r\nY: b"}, until=time.monotonic() + 1)


# Several at once


def test_several_services_are_asked_at_once_and_a_silent_one_spoils_no_other(
    service: Scripted,
) -> None:
    together = threading.Barrier(3)

    def write(to: Any, body: bytes) -> None:
        together.wait(timeout=10)
        to.write(body)

    service.answer = Answer(write=write)
    works = [replace(WORK, seq=seq) for seq in (1, 2, 3)]
    assert [each.vote for each in prepare_all(works) if isinstance(each, Ballot)] == [Vote.YES] * 3

    nowhere = replace(WORK, participant="nowhere.add")
    ended = finish_all([*works, nowhere], Outcome.COMMITTED)
    assert [type(each) for each in ended] == [Result, Result, Result, Later]


# Connections


def test_a_connection_is_kept_and_used_again(service: Scripted) -> None:
    for _ in range(3):
        prepare(WORK)

    assert len(service.connections) == 1


def test_a_kept_connection_that_the_service_closed_is_replaced(service: Scripted) -> None:
    service.answer = Answer(headers={"Connection": "keep-alive"})
    for _ in range(2):
        prepare(WORK)
        # The server closes as its timeout would, after it said that it would not.
        service.answer = Answer(write=lambda to, body: to.write(body))
    prepare(WORK)

    assert 2 <= len(service.connections) <= 3


def test_a_forked_child_uses_no_connection_of_its_parent(service: Scripted) -> None:
    prepare(WORK)
    assert succeeded(fork(lambda: prepare(WORK).vote is Vote.YES))
    assert prepare(WORK).vote is Vote.YES

    assert len(service.connections) == 2


# Certificates


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    openssl = shutil.which("openssl") or missing("openssl")
    folder = tmp_path_factory.mktemp("certificate")
    key, signed, both = folder / "key.pem", folder / "signed.pem", folder / "both.pem"
    subprocess.run(
        [
            *(openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(key), "-out", str(signed), "-days", "2"),
            *("-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
    )
    both.write_bytes(key.read_bytes() + signed.read_bytes())
    return both


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[str]:
    with scripted() as running:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        running.socket = context.wrap_socket(running.socket, server_side=True)
        yield running.url.replace("http:", "https:")
        http.close_idle()


def test_a_service_is_asked_over_tls_and_its_connection_kept(
    encrypted: str, certificate: Path
) -> None:
    with called(encrypted, CA=str(certificate)):
        assert [prepare(WORK).vote for _ in range(3)] == [Vote.YES] * 3


def test_a_certificate_that_nobody_vouches_for_is_no_service(encrypted: str) -> None:
    with called(encrypted), pytest.raises(Later, match="CERTIFICATE_VERIFY_FAILED"):
        prepare(WORK)


def test_a_certificate_for_another_host_is_no_service(encrypted: str, certificate: Path) -> None:
    elsewhere = encrypted.replace("127.0.0.1", "localhost")
    with called(elsewhere, CA=str(certificate)), pytest.raises(Later, match="localhost"):
        prepare(WORK)
