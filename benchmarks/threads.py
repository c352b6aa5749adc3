"""What a second core can bring to sequences and n-grams, measured where there may be no second core free.

    python benchmarks/threads.py [ROUNDS]

Wall times of one and two threads in turns, with the cores that were obtained: on a machine that others use
too they say nothing. So the serial part is estimated beside them, in CPU seconds: of many threads the caller
alone does it, and what it uses beyond an equal share is serial. (Shares are never quite equal: this errs both
ways; the median of the rounds counts.) Two cores then bring 1 / (s + (1 - s) / 2), memory permitting.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from crystal.benchmarking.ragged import ragged
from crystal.ops import sequence_tables
from crystal.ops.ngrams import ngram_counts
from crystal.ops.sequences import count_sequences

CREW = 24


def timed(work: Callable[[int], object], threads: int) -> tuple[float, float]:
    """Return wall seconds, and CPU seconds over them: the cores that were obtained."""
    wall, cpu = time.perf_counter(), time.process_time()
    work(threads)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return wall, cpu / wall


def serial_share(work: Callable[[int], object]) -> float:
    """Return the share of the CPU seconds that only the calling thread can do."""
    whole, own = time.process_time(), time.thread_time()
    work(CREW)
    whole, own = time.process_time() - whole, time.thread_time() - own
    return max(own - (whole - own) / (CREW - 1), 0.0) / whole


def main() -> None:
    """Measure each case."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for shape in ("base", "collapsed"):
        values, offsets = ragged(shape, "tokens", 2_000_000, 24)
        some = offsets[: len(offsets) // 8]
        data = values.view(np.uint8)

        def table(threads: int) -> None:
            sequence_tables.add(sequence_tables.new(verify=True), data, offsets, 4, None, None, 0, threads)  # noqa: B023

        cases: dict[str, Callable[[int], object]] = {
            "sequences": lambda threads: count_sequences(values, offsets, threads=threads),  # noqa: B023
            "table": table,
            "3-grams": lambda threads: ngram_counts(values, some, 3, threads=threads),  # noqa: B023
        }
        for name, work in cases.items():
            times = [(timed(work, 1), timed(work, 2)) for _ in range(rounds)]
            one, two = (min(side) for side in zip(*times, strict=True))
            serial = statistics.median(serial_share(work) for _ in range(rounds))
            print(
                f"{shape:<10} {name:<10} serial part {serial:.3f}, "
                f"two cores {1 / (serial + (1 - serial) / 2):.2f}x; "
                f"measured {one[0] / two[0]:.2f}x ({one[0]:.3f} s on {one[1]:.2f} cores, "
                f"{two[0]:.3f} s on {two[1]:.2f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
