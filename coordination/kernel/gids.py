"""Ids of transactions and of their branches.

``gid``         ``<node>-<8 hex: seconds>-<16 hex: random>``, or ``<node>-key-<32 hex>`` for a key
``branch gid``  ``cc:<gid>:<seq>``, the name of the branch in ``pg_prepared_xacts``; where a quorum
                decides, ``cc:<gid>:<seq>:<branches>:<period>``, so that who finds it prepared knows
                which registers decide without the coordinator's rows
"""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from coordination.exceptions import InvalidArgument
from coordination.kernel.names import NODE_PATTERN

GID_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]{0,15}-(?:[0-9a-f]{8}-[0-9a-f]{16}|key-[0-9a-f]{32})")
BRANCH_GID_PATTERN = re.compile(
    rf"cc:({GID_PATTERN.pattern}):([1-9][0-9]{{0,4}})(?::([0-9]{{1,5}}):([0-9]{{1,7}}))?"
)
GID_RANDOM_BYTES = 8
SEQ_MAX = 32_767


@dataclass(frozen=True, slots=True)
class Electorate:
    """Which registers of the quorum decide a transaction."""

    branches: int
    """The votes of branches 1 to this do, each in its own register. 0: one holds the outcome."""
    period: int
    """Of the registers: days since 1970, when it began."""


def make_gid(node: str, seconds: int, random_bytes: bytes) -> str:
    """Return a new gid from a node, the Unix time and 8 random bytes.

    The time comes first so that gids of one node sort, and index, by age (until 2106).
    """
    _require_node(node)
    if len(random_bytes) != GID_RANDOM_BYTES:
        raise InvalidArgument(f"a gid takes {GID_RANDOM_BYTES} random bytes, not {random_bytes!r}.")
    return f"{node}-{seconds & 0xFFFFFFFF:08x}-{random_bytes.hex()}"


def keyed_gid(node: str, name: str, key: str) -> str:
    """Return the gid that one node, transaction name and idempotency key always get."""
    _require_node(node)
    # Lengths separate the parts: ("ab", "c") and ("a", "bc") must not meet in one gid.
    parts = (part.encode() for part in (node, name, key))
    joined = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"{node}-key-{hashlib.sha256(joined).hexdigest()[:32]}"


def is_gid(text: object) -> bool:
    """Tell whether ``text`` has the form of a gid."""
    return isinstance(text, str) and GID_PATTERN.fullmatch(text) is not None


def node_of(gid: str) -> str:
    """Return the node that began the transaction."""
    if not is_gid(gid):
        raise InvalidArgument(f"{gid!r:.80} is not a gid.")
    return gid.rsplit("-", 2)[0]


@lru_cache(maxsize=1_024)
def branch_gid(gid: str, seq: int, electorate: Electorate | None = None) -> str:
    """Return the id of one branch: what ``PREPARE TRANSACTION`` is given."""
    if not is_gid(gid) or not 1 <= seq <= SEQ_MAX:
        raise InvalidArgument(f"no branch gid for gid {gid!r:.80} and seq {seq!r}.")
    if electorate is None:
        return f"cc:{gid}:{seq}"
    return f"cc:{gid}:{seq}:{electorate.branches}:{electorate.period}"


def parse_branch_gid(text: str) -> tuple[str, int] | None:
    """Return (gid, seq) of a branch gid; None for a prepared transaction that is not ours."""
    match = BRANCH_GID_PATTERN.fullmatch(text)
    if match is None or int(match[2]) > SEQ_MAX:
        return None
    return match[1], int(match[2])


def electorate_of(branch_gid: str) -> Electorate | None:
    """What decides the branch's transaction, if a quorum does."""
    match = BRANCH_GID_PATTERN.fullmatch(branch_gid)
    if match is None or match[3] is None:
        return None
    return Electorate(branches=int(match[3]), period=int(match[4]))


def _require_node(node: str) -> None:
    if NODE_PATTERN.fullmatch(node) is None:
        raise InvalidArgument(f"{node!r:.80} is not a node name ({NODE_PATTERN.pattern}).")
