"""Permutation draws and multinomial draws beside SciPy and NumPy, per second of processor time.

``python benchmarks/bench_resampling.py`` prints interleaved ratios; under pytest-benchmark each contender is
timed by itself. Every peer's answer is checked first. One thread each.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable

import numpy as np
import pytest
import scipy
from scipy import stats

from crystal.ops.resampling import permutation_test, simulate

# (groups, options, samples a group)
SHAPES = {
    "2 x 10, n 10 a row": (2, 10, 10),
    "2 x 10, n 20 a row": (2, 10, 20),
    "2 x 2, n 50 a row": (2, 2, 50),
    "2 x 10, n 100 a row": (2, 10, 100),
    "4 x 30, n 50 a row": (4, 30, 50),
    "8 x 30, n 100 a row": (8, 30, 100),
    "2 x 100, n 500 a row": (2, 100, 500),
    "2 x 100, n 1000 a row": (2, 100, 1000),
    "2 x 10, n 100000 a row": (2, 10, 100_000),
}
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


def scipy_tables(method: str | None) -> Callable[[np.ndarray, int], tuple[float, float]]:
    def run(table: np.ndarray, draws: int) -> tuple[float, float]:
        law = stats.random_table(table.sum(axis=1), table.sum(axis=0))
        return finish(law.rvs(size=draws, method=method, random_state=1).astype(np.int64), table)

    return run


def numpy_shuffles(table: np.ndarray, draws: int) -> tuple[float, float]:
    groups, options = table.shape
    rows = np.repeat(np.arange(groups), table.sum(axis=1))
    labels = np.repeat(np.tile(np.arange(options), groups), table.ravel())
    shuffled = np.random.default_rng(1).permuted(np.broadcast_to(labels, (draws, len(labels))), axis=1)
    cells = (np.arange(draws)[:, None] * groups + rows) * options + shuffled
    return finish(
        np.bincount(cells.ravel(), minlength=draws * table.size).reshape(draws, groups, options), table
    )


PEERS = {
    "scipy random_table": scipy_tables(None),
    "scipy boyett": scipy_tables("boyett"),
    "scipy patefield": scipy_tables("patefield"),
    "numpy shuffles": numpy_shuffles,
}


def our_entropies(p: np.ndarray, size: int, draws: int) -> float:
    return float(simulate(p[None, None, None], [[size]], "entropy", draws=draws, threads=1).mean())


def numpy_entropies(p: np.ndarray, size: int, draws: int) -> float:
    counts = np.random.default_rng(1).multinomial(size, p, size=draws)
    return float((np.log2(size) - n_log_n(size)[counts].sum(axis=1) / size / np.log(2)).mean())


def check(table: np.ndarray) -> None:
    draws = max(400, min(20_000, 2_000_000 // int(table.sum())))
    p, mean = ours(table, draws)
    for name, peer in PEERS.items():
        if int(table.sum()) > 10_000 and name != "scipy patefield":
            continue
        other_p, other_mean = peer(table, draws)
        assert abs(p - other_p) < 5 * np.sqrt(0.5 / draws), (name, p, other_p)
        assert abs(mean / other_mean - 1) < 0.1, (name, mean, other_mean)


def seconds(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def compare(contenders: dict[str, tuple[Callable[[int], object], int]], rounds: int = 7) -> dict[str, float]:
    """Median microseconds a draw of each, measured in turn so that a busy machine is busy for all."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, (run, draws) in contenders.items():
            times[name].append(seconds(lambda run=run, draws=draws: run(draws)) / draws * 1e6)
    return {name: float(np.median(values)) for name, values in times.items()}


def report() -> None:
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, SciPy {scipy.__version__}"
    print(f"{platform.system()} {platform.machine()}, {versions}")
    print("microseconds a draw (ratio to crystal)")
    for label, shape in SHAPES.items():
        table = counts_of(*shape)
        check(table)
        total = int(table.sum())
        contenders = {"crystal": (lambda draws, table=table: ours(table, draws), 4_000_000 // (total + 20))}
        for name, peer in PEERS.items():
            if total > 10_000 and name in ("numpy shuffles", "scipy boyett"):
                continue
            contenders[name] = (
                lambda draws, table=table, peer=peer: peer(table, draws),
                400_000 // (total + 20) + 2,
            )
        show(label, compare(contenders))
    for label, (options, size) in SIMULATIONS.items():
        p = np.random.default_rng(0).dirichlet(np.ones(options))
        draws = 20_000
        assert abs(our_entropies(p, size, draws) / numpy_entropies(p, size, draws) - 1) < 0.02
        show(
            f"entropy of multinomial, {label}",
            compare(
                {
                    "crystal": (lambda draws, p=p, size=size: our_entropies(p, size, draws), 20_000),
                    "numpy multinomial": (
                        lambda draws, p=p, size=size: numpy_entropies(p, size, draws),
                        5_000,
                    ),
                }
            ),
        )


def show(label: str, times: dict[str, float]) -> None:
    own = times["crystal"]
    parts = [f"{name} {value:.3f} ({value / own:.1f}x)" for name, value in times.items() if name != "crystal"]
    print(f"{label}: crystal {own:.3f}; " + "; ".join(parts))


@pytest.mark.parametrize("label", ["2 x 10, n 10 a row", "8 x 30, n 100 a row", "2 x 100, n 500 a row"])
@pytest.mark.parametrize("contender", ["crystal", "scipy random_table", "numpy shuffles"])
def test_permutations(benchmark: Callable[..., object], label: str, contender: str) -> None:
    table = counts_of(*SHAPES[label])
    check(table)
    run = ours if contender == "crystal" else PEERS[contender]
    benchmark.group = f"1,000 permutations of {label}"  # type: ignore[attr-defined]
    benchmark(run, table, 1000)


if __name__ == "__main__":
    report()
