"""Permutation draws and multinomial draws beside SciPy and NumPy, per second of processor time.

``python benchmarks/bench_resampling.py`` prints the ratios of a grid of shapes and the smallest of them,
measured in turn; under pytest-benchmark each contender is timed by itself. Every peer's answer is checked
first. One thread.
"""

from __future__ import annotations

import itertools
import platform
import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy
from scipy import stats

from crystal.ops.resampling import permutation_test, permute_counts, simulate

Shape = tuple[int, int, int]
Run = Callable[[np.ndarray, int], tuple[float, float]]

# (groups, options, samples a group)
GRID: list[Shape] = list(itertools.product((2, 3, 4, 8), (2, 3, 4, 10, 30, 100), (5, 20, 100, 1000)))
SIMULATIONS = {
    "K 10, n 20": (10, 20),
    "K 10, n 200": (10, 200),
    "K 100, n 20": (100, 20),
    "K 100, n 1000": (100, 1000),
    "K 10, n 100000": (10, 100_000),
}


def counts_of(groups: int, options: int, size: int) -> np.ndarray:
    """Even margins: the same number of samples in every option, as near as it goes."""
    labels = np.arange(groups * size) % options
    shuffled = np.random.default_rng(0).permutation(labels)
    cells = np.repeat(np.arange(groups), size) * options + shuffled
    return np.bincount(cells, minlength=groups * options).reshape(groups, options)


def n_log_n(largest: int) -> np.ndarray:
    n = np.arange(largest + 1, dtype=np.float64)
    return n * np.log(np.maximum(n, 1.0))


def ours(table: np.ndarray, draws: int) -> tuple[float, float]:
    result = permutation_test(table[None], "g", draws=draws, exceedances=draws + 1, threads=1)
    return result.p, result.null_mean


def finish(cells: np.ndarray, table: np.ndarray) -> tuple[float, float]:
    """What a NumPy user does with drawn tables: look n log n up, add, compare."""
    values = n_log_n(int(table.sum(axis=0).max()))
    sums = values[cells].sum(axis=(1, 2))
    observed = values[table].sum()
    margins = n_log_n(int(table.sum()))
    fixed = margins[table.sum()] - margins[table.sum(axis=0)].sum() - margins[table.sum(axis=1)].sum()
    p = ((sums >= observed - 1e-9).sum() + 1) / (len(sums) + 1)
    return float(p), float(2 * (sums.mean() + fixed))


def scipy_draws(method: str) -> Callable[[np.ndarray, int], np.ndarray]:
    def run(table: np.ndarray, draws: int) -> np.ndarray:
        law = stats.random_table(table.sum(axis=1), table.sum(axis=0))
        return np.asarray(law.rvs(size=draws, method=method, random_state=1))

    return run


def scipy_tables(method: str) -> Run:
    draw = scipy_draws(method)
    return lambda table, draws: finish(draw(table, draws).astype(np.int64), table)


def numpy_shuffles(table: np.ndarray, draws: int) -> tuple[float, float]:
    groups, options = table.shape
    rows = np.repeat(np.arange(groups), table.sum(axis=1))
    labels = np.repeat(np.tile(np.arange(options), groups), table.ravel())
    shuffled = np.random.default_rng(1).permuted(np.broadcast_to(labels, (draws, len(labels))), axis=1)
    cells = (np.arange(draws)[:, None] * groups + rows) * options + shuffled
    return finish(
        np.bincount(cells.ravel(), minlength=draws * table.size).reshape(draws, groups, options), table
    )


PEERS: dict[str, Run] = {
    "boyett": scipy_tables("boyett"),
    "patefield": scipy_tables("patefield"),
    "numpy shuffles": numpy_shuffles,
}


def our_entropies(p: np.ndarray, size: int, draws: int) -> float:
    return float(simulate(p[None, None, None], [[size]], "entropy", draws=draws, threads=1).mean())


def numpy_entropies(p: np.ndarray, size: int, draws: int) -> float:
    counts = np.random.default_rng(1).multinomial(size, p, size=draws)
    return float((np.log2(size) - n_log_n(size)[counts].sum(axis=1) / size / np.log(2)).mean())


def check(table: np.ndarray) -> None:
    """Every peer finds the p and the null mean that we find, within their Monte Carlo error."""
    draws = max(200, min(2_000, 500_000 // int(table.sum())))
    p, mean = ours(table, draws)
    for name, peer in PEERS.items():
        other_p, other_mean = peer(table, draws)
        assert abs(p - other_p) < 6 * np.sqrt(0.5 / draws), (name, p, other_p)
        # G is nearly chi-square: its variance is twice its degrees of freedom.
        degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
        assert abs(mean - other_mean) < 6 * np.sqrt(4 * degrees / draws), (name, mean, other_mean)


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(contenders: dict[str, tuple[Callable[[int], object], int]], rounds: int = 5) -> dict[str, float]:
    """Median microseconds a draw of each, measured in turn so that a busy machine is busy for all."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (run, draws) in contenders.items():
            times[name].append(seconds(lambda run=run, draws=draws: run(draws)) / draws * 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}


def time_shape(shape: Shape) -> dict[str, float]:
    table = counts_of(*shape)
    check(table)
    total = int(table.sum())
    few = max(20, 200_000 // (total + 20))
    some = min(max(few, 1000), 400_000 // table.size)  # neither a call's cost nor fresh memory
    contenders: dict[str, tuple[Callable[[int], object], int]] = {
        "crystal": (lambda draws: ours(table, draws), min(20_000, 4_000_000 // (total + 20))),
        "crystal draws": (lambda draws: permute_counts(table[None], draws=draws, threads=1), some),
    }
    for name, peer in PEERS.items():
        shuffles = name == "numpy shuffles"
        contenders[name] = (lambda draws, peer=peer: peer(table, draws), few if shuffles else some)
        if not shuffles:
            draw = scipy_draws(name)
            contenders[name + " draws"] = (lambda draws, draw=draw: draw(table, draws), some)
    return compare(contenders)


def report() -> None:
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    print(
        f"{platform.system()} {platform.machine()}, {versions}; processor time, one thread, G of even margins"
    )
    print("SciPy: the faster of its two methods")
    rows: list[tuple[float, float, float, str]] = []
    for shape in GRID:
        times = time_shape(shape)
        own = times["crystal"]
        scipys = min(times["boyett"], times["patefield"]) / own
        draws = min(times["boyett draws"], times["patefield draws"]) / times["crystal draws"]
        shuffles = times["numpy shuffles"] / own
        label = f"{shape[0]} x {shape[1]:3d}, {shape[2]:4d} a row: {own:6.3f} us a draw"
        rows.append((scipys, draws, shuffles, label))
        print(f"{label}; SciPy {scipys:.1f}x, draws alone {draws:.1f}x, shuffles {shuffles:.1f}x", flush=True)
    for index, name in enumerate(("SciPy", "SciPy, draws alone", "NumPy shuffles")):
        print(f"\nsmallest ratios to {name}")
        for row in sorted(rows, key=lambda row: row[index])[:6]:
            print(f"  {row[3]}: {row[index]:.1f}x")
    print()
    for label, (options, size) in SIMULATIONS.items():
        p = np.random.default_rng(0).dirichlet(np.ones(options))
        assert abs(our_entropies(p, size, 20_000) / numpy_entropies(p, size, 20_000) - 1) < 0.02
        times = compare(
            {
                "crystal": (lambda draws, p=p, size=size: our_entropies(p, size, draws), 20_000),
                "numpy": (lambda draws, p=p, size=size: numpy_entropies(p, size, draws), 5_000),
            }
        )
        ratio = times["numpy"] / times["crystal"]
        print(f"entropy of a multinomial, {label}: {times['crystal']:.3f} us; NumPy {ratio:.1f}x")


@pytest.mark.parametrize("shape", [(2, 10, 20), (8, 30, 100), (2, 100, 1000)], ids=str)
@pytest.mark.parametrize("contender", ["crystal", *PEERS])
def test_permutations(benchmark: Callable[..., object], shape: Shape, contender: str) -> None:
    table = counts_of(*shape)
    check(table)
    run = ours if contender == "crystal" else PEERS[contender]
    benchmark.group = f"1,000 permutations of {shape}"  # type: ignore[attr-defined]
    benchmark(run, table, 1000)


if __name__ == "__main__":
    report()
