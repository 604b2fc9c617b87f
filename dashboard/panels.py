"""A hook for apps: put a small live panel of figures on the overview.

An app registers in its `ready()`:

    panels.register("bank-total", "Bank total", total)

where `total()` returns rows, each `{"label": ..., "value": ..., "state": ...}`; `state` is one of
ok, busy, wait, bad, idle and may be absent. It runs in a worker thread about once a second while
somebody looks, once for all viewers; an exception shows as an unknown value, not as an error page.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import structlog

logger = structlog.get_logger(__name__)

Provider = Callable[[], Sequence[Mapping[str, Any]]]
STATES = frozenset({"ok", "busy", "wait", "bad", "idle", "unknown"})
ROWS_MAX = 8
TEXT_MAX = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class PanelRow:
    """One figure of a panel."""

    label: str
    value: str
    state: str = "idle"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """A panel's figures at one moment."""

    key: str
    title: str
    rows: tuple[PanelRow, ...]

    def wire(self) -> dict[str, Any]:
        """As JSON."""
        return {"key": self.key, "title": self.title, "rows": [asdict(row) for row in self.rows]}


_providers: dict[str, tuple[str, Provider]] = {}


def register(key: str, title: str, provider: Provider) -> None:
    """Show `title` with the rows of `provider()` on the overview; a key twice replaces."""
    _providers[key] = (title, provider)


def unregister(key: str) -> None:
    """Take a panel away again; unknown keys are ignored."""
    _providers.pop(key, None)


def read() -> tuple[Panel, ...]:
    """Ask every provider once. Blocking; called from a thread."""
    return tuple(_panel(key, title, ask) for key, (title, ask) in _providers.items())


def _panel(key: str, title: str, ask: Provider) -> Panel:
    try:
        rows = tuple(_row(row) for row in list(ask())[:ROWS_MAX])
    except Exception as error:  # noqa: BLE001 - a foreign app's panel must not break the page
        logger.warning("panel_failed", panel=key, error=repr(error))
        rows = (PanelRow(label=title, value="unknown", state="unknown"),)
    return Panel(key=key, title=title, rows=rows)


def _row(row: Mapping[str, Any]) -> PanelRow:
    state = str(row.get("state", "idle"))
    return PanelRow(
        label=str(row["label"])[:TEXT_MAX],
        value=str(row["value"])[:TEXT_MAX],
        state=state if state in STATES else "idle",
    )
