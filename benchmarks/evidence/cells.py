"""Cells of a campaign: sums over repetitions, one short line of text each."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Cell:
    """What became of the intervals of one metric at one number of options and samples."""

    metric: str
    truth: str
    """``effect`` (the true value is not 0) or ``null``."""
    options: int
    samples: int
    draws: int = 0
    given: int = 0
    """Draws with both limits."""
    one_sided: int = 0
    """Draws with one limit only."""
    covered: int = 0
    """Of the draws with a limit: those that hold the truth."""
    below: int = 0
    """Truth below the lower limit."""
    above: int = 0
    well_seen: int = 0
    """Draws whose mean sample coverage is .95 or more."""
    refused: int = 0
    """Of these: without both limits."""
    far: int = 0
    """Draws whose truth is over two margins."""
    decided: int = 0
    """Of these: shown to be above the margin."""
    width: float = 0.0
    """Summed over the draws for which the oracle's interval was made too."""
    oracle: float = 0.0

    @property
    def reported(self) -> int:
        """Draws with at least one limit."""
        return self.given + self.one_sided

    @property
    def coverage(self) -> float:
        """Share of reported intervals that hold the truth; NaN where none was reported."""
        return self.covered / self.reported if self.reported else math.nan

    @property
    def error(self) -> float:
        """Binomial standard error of a true coverage of .95."""
        return math.sqrt(0.95 * 0.05 / self.reported) if self.reported else math.nan

    def add(self, low: float | None, high: float | None, truth: float, seen: float) -> None:
        """Count one interval. Limits count as holding what they equal within 1e-9."""
        self.draws += 1
        both = low is not None and high is not None
        if seen >= 0.95:
            self.well_seen += 1
            self.refused += not both
        if low is None and high is None:
            return
        if both:
            self.given += 1
        else:
            self.one_sided += 1
        under = low is not None and truth < low - 1e-9
        over = high is not None and truth > high + 1e-9
        self.below += under
        self.above += over
        self.covered += not (under or over)

    def line(self) -> str:
        """Write as one line."""
        return " ".join(
            f"{value:.5g}" if isinstance(value, float) else f"{value}" for value in self._values()
        )

    def _values(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


def parse(line: str) -> Cell:
    """Read what :meth:`Cell.line` wrote."""
    kinds: dict[Any, Callable[[str], Any]] = {"str": str, "int": int, "float": float}
    words = zip(line.split(), fields(Cell), strict=True)
    return Cell(*(kinds[field.type](word) for word, field in words))


def percent(share: float) -> str:
    """Write a share as a percentage, a dash where there is none."""
    return "-" if math.isnan(share) else f"{100 * share:.1f}"


def markdown(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table."""
    names = list(header)
    lines = [names, ["---"] * len(names), *([*row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
