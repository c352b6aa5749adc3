"""A campaign of permutation tests: 1,000 tasks x 8 prompts x 4 checkpoints, 10,000 draws each.

``python benchmarks/bench_permutation_campaign.py [tasks]`` prints draws and tables a second, the cores that
were had, and the peak of memory of one test with few and with many draws, each in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np

from crystal.ops.resampling import permutation_test, stream_key

PROMPTS, CHECKPOINTS, OPTIONS, SAMPLES, DRAWS = 8, 4, 10, 50, 10_000

PEAK = """
import resource, sys
import numpy as np
from crystal.ops.resampling import permutation_test
counts = np.random.default_rng(0).multinomial(50, np.ones(10) / 10, size=(8, 4)).astype(np.int64)
draws = int(sys.argv[1])
permutation_test(counts, "g", draws=draws, exceedances=draws + 1)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak_kib(draws: int) -> int:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", PEAK, str(draws)], capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def campaign(tasks: int, threads: int) -> None:
    rng = np.random.default_rng(1)
    counts = rng.multinomial(SAMPLES, np.ones(OPTIONS) / OPTIONS, size=(tasks, PROMPTS, CHECKPOINTS))
    wall, used = time.perf_counter(), time.process_time()
    for task, table in enumerate(counts):
        result = permutation_test(
            table, "g", draws=DRAWS, exceedances=DRAWS + 1, key=stream_key("gate", task), threads=threads
        )
        assert result.draws == DRAWS
    wall, used = time.perf_counter() - wall, time.process_time() - used
    draws = tasks * DRAWS
    print(
        f"{threads} threads: {tasks:,} tasks, {draws:,} draws in {wall:.1f} s: {draws / wall:,.0f} draws/s, "
        f"{draws * PROMPTS / wall:,.0f} tables/s; {used / wall:.2f} cores had, "
        f"{draws * PROMPTS / used:,.0f} tables a processor second",
        flush=True,
    )


def report() -> None:
    tasks = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(
        f"{PROMPTS} prompts x {CHECKPOINTS} checkpoints, {OPTIONS} options, {SAMPLES} samples each; "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    for threads in (1, os.cpu_count() or 1):
        campaign(tasks, threads)
    few, many = peak_kib(1_000), peak_kib(100_000)
    print(f"peak memory of a process: {few} KiB at 1,000 draws, {many} KiB at 100,000")


if __name__ == "__main__":
    report()
