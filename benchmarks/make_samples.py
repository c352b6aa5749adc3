"""A log of any size and known shape: ``python benchmarks/make_samples.py ROWS FILE.parquet|FILE.jsonl``."""

from __future__ import annotations

import argparse
from pathlib import Path

from crystal.benchmarking import samples

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write a log of samples of known shape.")
    parser.add_argument("rows", type=int)
    parser.add_argument("file", type=Path, help="a name that ends in .parquet or .jsonl")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tasks", type=int, default=samples.TASKS)
    parser.add_argument("--distinct", type=float, default=0.0, help="share of rows whose answer is their own")
    given = parser.parse_args()
    samples.write(given.file, given.rows, given.seed, given.tasks, given.distinct)
