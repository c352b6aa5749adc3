"""Logs of any format as batches of the sample table: ``crystal.readers.read``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystal.readers.stream import SampleStream as SampleStream
    from crystal.readers.stream import read as read

__all__ = ["SampleStream", "read"]


def __getattr__(name: str) -> Any:
    # Resolved on first use: importing the package must not load pyarrow.
    if name in __all__:
        from crystal.readers import stream

        return getattr(stream, name)
    raise AttributeError(f"module 'crystal.readers' has no attribute {name!r}")
