"""Other implementations of the same operations, and what makes two answers equal.

Each rival is imported only where it is installed and asked for. Inputs are brought into a peer's own form
before the clock runs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.benchmarking.clock import Rival

Floats = npt.NDArray[np.float64]


def equal(ours: Any, theirs: Any) -> bool:
    """Tell whether two answers are the same."""
    return bool(ours == theirs)


def close(ours: Any, theirs: Any) -> bool:
    """Tell whether two arrays agree to 1e-7."""
    return bool(np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, rtol=0, atol=1e-7))


def near(ours: Any, theirs: Any) -> bool:
    """Tell whether two arrays agree as float32 sums do."""
    return bool(np.shape(ours) == np.shape(theirs) and np.allclose(ours, theirs, rtol=1e-4, atol=1e-4))


def chances(ours: Any, theirs: Any) -> bool:
    """Tell whether two estimates of one probability agree within five standard errors of 1,000 draws."""
    return bool(abs(ours - theirs) <= 5 * (0.25 / 1_000) ** 0.5)


def fingerprint(counts: Any) -> tuple[int, int]:
    """Return how many counts there are, and the sum of their squares."""
    numbers = np.asarray(counts).astype(np.int64)
    return len(numbers), int((numbers**2).sum())


def texts(values: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64]) -> Any:
    """Return ragged bytes as a ``large_string`` array over the same memory."""
    import pyarrow as pa

    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.large_string(), len(offsets) - 1, buffers)


def matrices(kind: str, p: Floats) -> dict[str, Rival]:
    """Return peers that compare every row with every other."""
    if kind == "js":
        return {
            "scipy": Rival(
                "scipy",
                "scipy.spatial.distance",
                lambda scipy: lambda: scipy.squareform(scipy.pdist(p, "jensenshannon") ** 2) / np.log(2),
            )
        }

    def by_numpy(_: Any) -> Callable[[], Any]:
        roots = np.sqrt(p)
        return lambda: np.sqrt(np.maximum(1 - roots @ roots.T, 0))

    # The product alone loses near rows, above all the diagonal: it is right to about 1e-8.
    return {"numpy": Rival("numpy", "numpy", by_numpy)}


def linkages(upper: Floats) -> dict[str, Rival]:
    """Return peers that build the tree of average linkage from the upper triangle of distances."""

    def tree(module: Any) -> Callable[[], Any]:
        return lambda: np.sort(module.linkage(upper.copy(), "average")[:, 2])

    return {
        "scipy": Rival("scipy", "scipy.cluster.hierarchy", tree),
        "fastcluster": Rival("fastcluster", "fastcluster", tree),
    }


def kmeans(rows: Floats, start: Floats, passes: int) -> dict[str, Rival]:
    """Return peers that make the same passes from the same start; their cost of a row is twice ours."""

    def by_sklearn(algorithm: str) -> Callable[[Any], Callable[[], Any]]:
        def prepare(sklearn: Any) -> Callable[[], Any]:
            def run() -> Any:
                model = sklearn.KMeans(
                    len(start), init=start, n_init=1, tol=0, max_iter=passes, algorithm=algorithm
                )
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # that the limit was reached
                    return model.fit(rows).inertia_ / 2 / len(rows)

            return run

        return prepare

    return {
        "scikit-learn": Rival("scikit-learn", "sklearn.cluster", by_sklearn("lloyd")),
        "scikit-learn elkan": Rival("scikit-learn", "sklearn.cluster", by_sklearn("elkan")),
    }


def token_statistics(logits: npt.NDArray[np.float32], chosen: npt.NDArray[np.int64]) -> dict[str, Rival]:
    """Return a peer that takes entropy and log-probability from log-softmax."""

    def by_torch(torch: Any) -> Callable[[], Any]:
        x, ids = torch.from_numpy(logits), torch.from_numpy(chosen)

        def run() -> Any:
            logp = torch.log_softmax(x, dim=-1)
            entropy = -(logp.exp() * logp).sum(dim=-1)
            return torch.stack([entropy, logp.gather(1, ids[:, None])[:, 0]]).numpy()

        return run

    return {"torch": Rival("torch", "torch", by_torch)}


def permutations(counts: npt.NDArray[np.int64], draws: int) -> dict[str, Rival]:
    """Return a peer that draws tables with fixed margins and scores them."""

    def g(tables: npt.NDArray[Any]) -> Floats:
        # Margins are fixed, so only the sum of n ln n changes.
        scores: Floats = np.where(tables > 0, tables * np.log(np.maximum(tables, 1)), 0.0).sum(axis=(-1, -2))
        return scores

    def by_scipy(stats: Any) -> Callable[[], Any]:
        def run() -> Any:
            total, observed = np.zeros(draws), 0.0
            rng = np.random.default_rng(1)
            for block in counts:
                law = stats.random_table(block.sum(axis=1), block.sum(axis=0))
                total += g(law.rvs(draws, random_state=rng))
                observed += float(g(block))
            return (np.count_nonzero(total >= observed - 1e-9) + 1) / (draws + 1)

        return run

    return {"scipy": Rival("scipy", "scipy.stats", by_scipy)}
