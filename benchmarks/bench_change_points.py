"""Transitions of long ladders: 100 checkpoints x 20 tasks x 8 prompts x 50 samples.

``python benchmarks/bench_change_points.py`` prints processor seconds, one thread. The answers are checked
first: the planted cuts are found, and a flat ladder has none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from crystal.statistics.arnold import arnold_scan
from crystal.statistics.segmentation import find_transitions
from crystal.testing.planted_long import long_ladder

CUTS = (30, 70)


def counts_of(kind: str) -> Any:
    return long_ladder(kind, rungs=100, changes=CUTS if kind == "cuts" else None, size=0.5).counts(50)  # type: ignore[arg-type]


def places(counts: Any) -> tuple[int, ...]:
    found = find_transitions(counts, threads=1)
    assert found is not None
    return tuple(change.position for change in found.transitions)


def peaks(kind: str) -> Callable[[Any], tuple[int, ...]]:
    def scan(counts: Any) -> tuple[int, ...]:
        return tuple(peak.position for peak in arnold_scan(counts, kind, threads=1).peaks)  # type: ignore[arg-type]

    return scan


METHODS = {"cuts": places, **{f"arnold-{kind}": peaks(kind) for kind in ("linear", "tv", "js")}}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["flat", "cuts"])
def test_long_ladder(benchmark: Any, method: str, kind: str) -> None:
    counts = counts_of(kind)
    found = benchmark.pedantic(METHODS[method], args=(counts,), rounds=1)
    assert found == (CUTS if kind == "cuts" else ())


def main() -> None:
    for kind in ("flat", "cuts"):
        counts = counts_of(kind)
        for method, seek in METHODS.items():
            started = time.process_time()
            found = seek(counts)
            seconds = time.process_time() - started
            assert found == (CUTS if kind == "cuts" else ())
            print(f"{kind:5} {method:14} {seconds:6.1f} s  {found}")


if __name__ == "__main__":
    main()
