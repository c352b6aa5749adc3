"""Count 20 million samples with a budget of memory, in a process of its own, and say what it held at most.

    python benchmarks/spill.py [SAMPLES] [BUDGET_MIB]

The samples are drawn a block at a time, 91% of them distinct, about 12 tokens each; half as much again would
be their input alone. A second process counts them without a budget: the digests of both files must agree.
"""

from __future__ import annotations

import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

BLOCK = 500_000


def blocks(samples: int) -> Iterator[tuple[Any, Any]]:
    """Yield blocks of samples: the first eleventh of each repeats the last one of the block before."""
    rng = np.random.default_rng(7)
    repeats = BLOCK // 11
    last = (np.zeros(0, np.int32), np.zeros(repeats, np.int64))
    for _ in range(samples // BLOCK):
        lengths = np.concatenate([last[1], 1 + rng.poisson(11, BLOCK - repeats)])
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        fresh = (100_000 ** rng.random(offsets[-1] - len(last[0]))).astype(np.int32)
        values = np.concatenate([last[0], fresh])
        last = (values[offsets[-1 - repeats] :], lengths[-repeats:])
        yield values, offsets


def peak() -> float:
    """Return the most memory that this process held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def count(samples: int, budget: int, path: Path) -> None:
    """Count into a file and print what it took."""
    from crystal.states.sequence_table import SequenceTable

    table = SequenceTable(memory=budget << 20 if budget else None, folder=path.parent, threads=1)
    next(blocks(BLOCK))
    before = peak()
    seconds = 0.0
    for values, offsets in blocks(samples):
        start = time.process_time()
        table.update(values, offsets)
        seconds += time.process_time() - start
    runs, disk = len(table._store.runs), table.disk_bytes
    at_rest = peak()
    start = time.process_time()
    table.save(path)
    written = time.process_time() - start
    distinct = len(table)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "blake2b").hexdigest()[:16]
    print(
        f"{table.total:,} samples, {distinct:,} distinct, budget {budget or 'no'} MiB: "
        f"peak {peak():.0f} MiB "
        f"({at_rest:.0f} before the file was written, {before:.0f} before the first sample), {runs} runs of "
        f"{disk / 2**20:.0f} MiB, update {seconds:.1f} CPU s, file {written:.1f} CPU s of "
        f"{path.stat().st_size / 2**20:.0f} MiB, digest {digest}",
        flush=True,
    )


def main() -> None:
    """Run both processes."""
    samples = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000_000
    budget = int(sys.argv[2]) if len(sys.argv) > 2 else 640
    if len(sys.argv) > 3:
        count(samples, budget, Path(sys.argv[3]))
        return
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        for memory in (budget, 0):
            path = Path(folder) / f"{memory}.table"
            subprocess.run([sys.executable, __file__, str(samples), str(memory), str(path)], check=True)  # noqa: S603


if __name__ == "__main__":
    main()
