"""Races: peers side by side, one round of each in turn, in CPU seconds.

On a machine that others use too, wall time measures them. CPU seconds of the best round, taken in turns, are
what can be compared; ratios of them are what is reported.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

import pytest

from crystal.benchmarking.ragged import Ragged, ragged

# One thread each: before any peer is imported, because each makes its pool on import.
for _name in (
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
):
    os.environ.setdefault(_name, "1")
_TABLE: list[str] = []


@pytest.fixture(scope="session")
def make_samples() -> Callable[..., Ragged]:
    return ragged


@pytest.fixture
def race(benchmark: Any) -> Callable[..., None]:
    """Return ``race(group, items, crystal=..., peer=..., ...)``: the first is ours.

    ``items`` is what each of them handles, or a dictionary of that by name.
    """

    def run(
        group: str, items: int | dict[str, int], rounds: int = 5, **runners: Callable[[], object]
    ) -> None:
        sizes = items if isinstance(items, dict) else dict.fromkeys(runners, items)
        best = dict.fromkeys(runners, float("inf"))
        for _ in range(rounds):
            for name, runner in runners.items():
                start = time.process_time()
                runner()
                best[name] = min(best[name], time.process_time() - start)
        ours, *peers = runners
        speed = {name: sizes[name] / best[name] for name in runners}
        fastest = max(peers, key=speed.__getitem__)
        ratio = speed[ours] / speed[fastest]
        rates = "  ".join(f"{name} {speed[name] / 1e6:.3g}" for name in runners)
        _TABLE.append(f"{group:<34} {ratio:5.2f}x {fastest:<12} | M/CPU-s: {rates}")
        benchmark.group = group
        benchmark.extra_info.update({"cpu_seconds": best, "ratio": ratio, "best_peer": fastest})
        benchmark.pedantic(runners[ours], rounds=1)

    return run


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if not _TABLE:
        return
    peers = ("numpy", "pyarrow", "polars", "numba", "scipy", "scikit-learn", "rensa", "datasketch")
    found = []
    for name in peers:
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            continue
    load = ", ".join(f"{x:.1f}" for x in os.getloadavg())
    terminalreporter.section("ratio to the best peer, interleaved, CPU seconds of the best round")
    terminalreporter.write_line(
        f"{platform.machine()}, {os.cpu_count()} cores, load {load}; {platform.system()}, "
        f"Python {platform.python_version()}; {', '.join(found)}"
    )
    for line in _TABLE:
        terminalreporter.write_line(line)
