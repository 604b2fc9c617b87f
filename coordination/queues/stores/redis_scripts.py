"""The Lua of queues, put together from its files."""

from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent / "lua"
VERBS = (
    *("declare", "publish", "reserve", "leave", "settle", "extend", "bury", "peek", "move"),
    *("purge", "pick", "pause", "stats"),
)


@cache
def source(verb: str) -> str:
    """The Lua of one verb, with what it shares with others."""
    own, shelf = (_HERE / f"{verb}.lua").read_text(), (_HERE / "shelf.lua").read_text()
    return (_HERE / "head.lua").read_text() + own.replace("--#shelf\n", shelf)
