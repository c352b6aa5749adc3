"""From a stream of samples to a measurement: ``crystal.engine.measure``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystal.engine.local import measure as measure

__all__ = ["measure"]


def __getattr__(name: str) -> Any:
    # Resolved on first use: importing the package must not load pyarrow.
    if name == "measure":
        from crystal.engine.local import measure

        return measure
    raise AttributeError(f"module 'crystal.engine' has no attribute {name!r}")
