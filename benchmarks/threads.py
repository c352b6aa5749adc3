"""What a second core can bring to sequences, n-grams and token statistics, where none may be free.

    python benchmarks/threads.py [ROUNDS]

Wall times of one and two threads in turns, with the cores that were obtained: on a machine that others use
too they say nothing. So the serial part is estimated beside them, in CPU seconds: of many threads the caller
alone does it, and what it uses beyond an equal share is serial. (Shares are never quite equal: this errs both
ways; the median of the rounds counts.) Two cores then bring 1 / (s + (1 - s) / 2), memory permitting.

Whether it does is said by "plain read": the same logits summed as integers by as many threads. Some machines
give it one of two values for a whole run of the program, by where its pages of memory happen to lie; token
statistics cannot be faster than that, and three runs say more than one of many rounds.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

import crystal
from crystal.benchmarking.ragged import ragged
from crystal.ops import sequence_tables
from crystal.ops.ngrams import ngram_counts
from crystal.ops.sequences import count_sequences

CREW = 24
TOKENS, VOCABULARY = 1_000, 128_256
Case = Callable[[int], object]


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


def show(shape: str, name: str, work: Case, rounds: int, serial: float | None) -> None:
    """Print the best wall times of one and two threads in turns, and what the serial part would allow."""
    times = [(timed(work, 1), timed(work, 2)) for _ in range(rounds)]
    one, two = (min(side) for side in zip(*times, strict=True))
    part = (
        ""
        if serial is None
        else f"serial part {serial:.3f}, two cores {1 / (serial + (1 - serial) / 2):.2f}x; "
    )
    seconds = f"{one[0]:.3f} s on {one[1]:.2f} cores, {two[0]:.3f} s on {two[1]:.2f}"
    print(f"{shape:<10} {name:<10} {part}measured {one[0] / two[0]:.2f}x ({seconds})", flush=True)


def sequence_cases(shape: str) -> dict[str, Case]:
    """Return the work on one shape of token ids, by name."""
    values, offsets = ragged(shape, "tokens", 2_000_000, 24)
    some = offsets[: len(offsets) // 8]
    data = values.view(np.uint8)

    def table(threads: int) -> None:
        sequence_tables.add(sequence_tables.new(verify=True), data, offsets, 4, None, None, 0, threads)

    return {
        "sequences": lambda threads: count_sequences(values, offsets, threads=threads),
        "table": table,
        "3-grams": lambda threads: ngram_counts(values, some, 3, threads=threads),
    }


def token_cases(logits: npt.NDArray[np.generic], dtype: str) -> dict[str, Case]:
    """Return the core outputs of token statistics, and the plain read of the same logits."""
    tokens = np.zeros(TOKENS, np.int64)
    halves = np.array_split(logits.reshape(-1).view(np.int64), 2)

    def core(threads: int) -> object:
        metrics = ["logsumexp", "logprob", "entropy"]
        return crystal.token_stats(
            logits, tokens, backend="cpu", metrics=metrics, dtype=dtype, threads=threads
        )

    def read(threads: int) -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(np.sum, halves))

    return {"tokens": core, "plain read": read}


def main() -> None:
    """Measure each case."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    for shape in ("base", "collapsed"):
        for name, work in sequence_cases(shape).items():
            show(shape, name, work, rounds, statistics.median(serial_share(work) for _ in range(rounds)))
    logits = np.random.default_rng(0).standard_normal((TOKENS, VOCABULARY), dtype=np.float32)
    upper = (logits.view(np.uint32) >> 16).astype(np.uint16)
    for dtype, array in (("float32", logits), ("bfloat16", upper), ("float16", logits.astype(np.float16))):
        for name, work in token_cases(array, dtype).items():
            show(dtype, name, work, rounds, None)


if __name__ == "__main__":
    main()
