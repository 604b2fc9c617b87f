"""A table of cases that were interleaved, with columns of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from bench.chunks import Series


@dataclass(slots=True, kw_only=True)
class Columns:
    """`base` is what the cases are compared with, if it was measured."""

    title: str
    base: str
    series: Mapping[str, Series]
    columns: ClassVar[Mapping[str, tuple[str, str]]] = {}
    """Field of a row → its head, and how it is written."""

    def speed(self, name: str) -> float | None:
        """How many times faster than the base a case is."""
        if name not in self.series or self.base not in self.series:
            return None
        return self.series[name].speed_against(self.series[self.base])

    def spread(self, name: str) -> tuple[float, float] | None:
        """The quartiles of that over the cycles."""
        if name not in self.series or self.base not in self.series:
            return None
        return self.series[name].spread_against(self.series[self.base])

    def rows(self) -> list[dict[str, Any]]:
        """One a case."""
        return [self._row(each) for each in self.series.values()]

    def _row(self, series: Series) -> dict[str, Any]:
        raise NotImplementedError

    def as_text(self) -> str:
        heads = "".join(f"{head:>10}" for head, _ in self.columns.values())
        return "\n".join([self.title, f"{'case':<36}{heads}", *map(self._line, self.rows())])

    def _line(self, row: Mapping[str, Any]) -> str:
        cells = (
            "-" if row[field] is None else format(row[field], style)
            for field, (_, style) in self.columns.items()
        )
        return f"{row['case']:<36}" + "".join(f"{cell:>10}" for cell in cells)
