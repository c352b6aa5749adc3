"""Estimators, tests and intervals: arrays in, results out.

The functions live in the modules; those that look at a whole ladder can be had from here too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystal.statistics.arnold import arnold_scan as arnold_scan
    from crystal.statistics.segmentation import find_transitions as find_transitions

_HOMES = {"arnold_scan": "crystal.statistics.arnold", "find_transitions": "crystal.statistics.segmentation"}

__all__ = ["arnold_scan", "find_transitions"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'crystal.statistics' has no attribute {name!r}")
