"""What is told to services whose workers reach none of our tables, and what they tell us.

`PEERS` names them and the secrets shared with each. A node that is not there is taken for one that
shares the coordinator's database: its messages say only where to look.
"""

import logging
import secrets
import time
from collections.abc import Mapping
from typing import Any

from coordination import conf
from coordination.exceptions import BadSignature
from coordination.kernel.envelopes import Envelope, seal, sender_of, unseal

logger = logging.getLogger(__name__)

NONCE_BYTES = 12


def is_peer(node: str) -> bool:
    """Whether what is sent there has to be sealed."""
    return node in conf.current().peers


def sealed(task: str, node: str, arguments: Mapping[str, Any]) -> dict[str, str]:
    """The message that lets a peer run `task` with these arguments."""
    settings = conf.current()
    now_ms = _now_ms()
    envelope = Envelope(
        task=task,
        sender=settings.node,
        receiver=node,
        nonce=secrets.token_hex(NONCE_BYTES),
        issued_ms=now_ms,
        expires_ms=now_ms + settings.envelope_ttl_ms,
        arguments=arguments,
    )
    return seal(envelope, settings.peers[node])


def opened(task: str, message: object) -> Envelope:
    """What a peer tells this node, for the `task` that runs.

    Raises BadSignature, which is logged, for what no peer may say to it.
    """
    settings = conf.current()
    try:
        sender = sender_of(message)
        if sender not in settings.peers:
            raise BadSignature(f"{sender!r:.40} is no key of COORDINATION['PEERS'].")
        assert isinstance(message, dict)
        return unseal(
            message, settings.peers[sender], task=task, receiver=settings.node, now_ms=_now_ms()
        )
    except BadSignature as error:
        logger.error("refused a message for %s: %s", task, error)  # noqa: TRY400 - no fault of ours
        raise


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
