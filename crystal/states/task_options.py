"""What a bound task says about its options: part of a measurement's configuration."""

from __future__ import annotations

import math

import msgspec

from crystal.errors import TaskError


class TaskOptions(msgspec.Struct, frozen=True):
    """The options of one task, in order.

    Raises
    ------
    TaskError
        If there are none, one comes twice, or the places do not fit them.

    Examples
    --------
    >>> TaskOptions(("Monday", "Tuesday"), positions=(0.0, 1.0), period=7.0).period
    7.0
    """

    options: tuple[str, ...]
    positions: tuple[float, ...] | None = None
    """Places of ordered options on a line (or circle), one an option."""
    period: float | None = None
    """Length of the circle, where the order is circular."""

    def __post_init__(self) -> None:
        if self.positions is not None:
            # 1 and 1.0 are one configuration, and have to be the same bytes.
            msgspec.structs.force_setattr(self, "positions", tuple(map(float, self.positions)))
        if self.period is not None:
            msgspec.structs.force_setattr(self, "period", float(self.period))
        msgspec.structs.force_setattr(self, "options", tuple(self.options))
        if not self.options:
            raise TaskError("a task has no options", where="options")
        if len(set(self.options)) < len(self.options):
            twice = next(option for option in self.options if self.options.count(option) > 1)
            raise TaskError("an option comes twice", where="options", got=repr(twice))
        if self.positions is not None and (
            len(self.positions) != len(self.options) or not all(map(math.isfinite, self.positions))
        ):
            raise TaskError(
                "positions must be finite numbers, one an option",
                where="positions",
                expected=f"{len(self.options)} numbers",
                got=str(self.positions),
            )
        if self.period is not None and not (self.positions is not None and 0 < self.period < math.inf):
            raise TaskError(
                "a period is a positive length and needs positions", where="period", got=str(self.period)
            )
