"""The stochastic tasks as data, and the answer rules. ``crystal.tasks.load`` reads option lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystal.tasks.loader import load as load

__all__ = ["load"]


def __getattr__(name: str) -> Any:
    # Resolved on first use: importing the package must not load pyarrow.
    if name == "load":
        from crystal.tasks.loader import load

        return load
    raise AttributeError(f"module 'crystal.tasks' has no attribute {name!r}")
