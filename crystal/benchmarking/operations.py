"""The operations that are timed: one entry each, with its input, its peers, and what makes answers equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.benchmarking import peers, text_peers
from crystal.benchmarking.clock import Rival, race
from crystal.benchmarking.ragged import edited
from crystal.benchmarking.ragged import ragged as make_ragged
from crystal.benchmarking.results import Operation

ragged = cache(make_ragged)


class Case(NamedTuple):
    """One operation on one input."""

    items: int
    nbytes: int
    run: Callable[[], Any]
    rivals: Mapping[str, Rival] = {}
    same: Callable[[Any, Any], bool] = peers.equal


class Entry(NamedTuple):
    """One line of the registry."""

    title: str
    unit: str
    prepare: Callable[[int], Case]
    """From a size (about the number of items) to the case."""
    size: int
    """Of a full run; a quick one takes a tenth, or what `quick` says."""
    quick: int | None = None


def _sequences(shape: str, kind: str, *, verify: bool) -> Callable[[int], Case]:
    def prepare(rows: int) -> Case:
        from crystal.ops.sequences import count_sequences

        values, offsets = ragged(shape, kind, rows)

        def run() -> Any:
            found = count_sequences(values, offsets, verify=verify)
            return peers.fingerprint(found.counts)

        rivals = text_peers.distinct(values, offsets)
        return Case(rows, values.nbytes + offsets.nbytes, run, rivals)

    return prepare


def _ngrams(shape: str, n: int) -> Callable[[int], Case]:
    def prepare(rows: int) -> Case:
        from crystal.ops.ngrams import ngram_counts

        values, offsets = ragged(shape, "tokens", rows)
        total = ngram_counts(values, offsets, n).total

        def run() -> Any:
            found = ngram_counts(values, offsets, n)
            return found.total, found.distinct

        return Case(total, values.nbytes + offsets.nbytes, run, text_peers.sorted_ngrams(values, offsets, n))

    return prepare


def _minhash(rows: int) -> Case:
    from crystal.ops.minhash import minhash

    values, offsets, source = edited(*ragged("base", "text", rows, 200))
    same = text_peers.same_similarity(values, offsets, source, 5)
    return Case(
        rows,
        values.nbytes + offsets.nbytes,
        lambda: minhash(values, offsets, n=5),
        text_peers.signatures(values, offsets, 5, 128),
        same,
    )


def _near_duplicates(rows: int) -> Case:
    from crystal.ops.near_duplicates import near_duplicates

    texts = peers.texts(*edited(*ragged("base", "text", rows, 200))[:2])
    return Case(
        rows, texts.nbytes, lambda: near_duplicates(texts).clusters, text_peers.near_duplicates(texts)
    )


def _rows(rows: int, options: int) -> npt.NDArray[np.float64]:
    return np.random.default_rng(0).dirichlet(np.full(options, 0.5), rows)


def _matrix(kind: str) -> Callable[[int], Case]:
    def prepare(pairs: int) -> Case:
        from crystal.ops import divergence_matrix as ops

        p = _rows(max(2, int((2 * pairs) ** 0.5)), 16)
        call = ops.js_matrix if kind == "js" else ops.hellinger_matrix
        items = len(p) * (len(p) - 1) // 2
        return Case(items, p.nbytes, lambda: call(p), peers.matrices(kind, p), peers.close)

    return prepare


def _linkage(rows: int) -> Case:
    from crystal.ops.clustering import link

    p = _rows(rows, 16)
    norms = (p * p).sum(axis=1)
    table = np.sqrt(np.maximum(norms[:, None] + norms - 2 * p @ p.T, 0))
    table = np.triu(table, 1) + np.triu(table, 1).T
    upper = table[np.triu_indices(rows, 1)]

    def run() -> Any:
        return np.sort(np.asarray(link(upper, "average").height))

    return Case(rows * (rows - 1) // 2, upper.nbytes, run, peers.linkages(upper), peers.close)


def _kmeans(rows: int) -> Case:
    from crystal.ops.clustering import lloyd

    roots = np.sqrt(_rows(rows, 16))
    start, weights, passes = roots[:8].copy(), np.ones(rows), 20

    def run() -> Any:
        return lloyd(roots, weights, start, "hellinger", limit=passes).objective / rows

    return Case(rows * passes, roots.nbytes, run, peers.kmeans(roots, start, passes), peers.near)


def _token_stats(tokens: int) -> Case:
    from crystal.ops.tokens import token_stats

    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (tokens, 32_000)).astype(np.float32)
    chosen = rng.integers(0, 32_000, tokens)

    def run() -> Any:
        found = token_stats(logits, chosen, backend="cpu", metrics=("entropy", "logprob"))
        return np.stack([np.asarray(found.entropy), np.asarray(found.logprob)])

    return Case(tokens, logits.nbytes, run, peers.token_statistics(logits, chosen), peers.near)


def _permutations(draws: int) -> Case:
    from crystal.ops.resampling import permutation_test

    rng = np.random.default_rng(0)
    counts = rng.multinomial(100, rng.dirichlet(np.ones(16)), (8, 2))

    def run() -> Any:
        return permutation_test(counts, "g", draws=draws, exceedances=draws + 1).p

    return Case(draws, counts.nbytes, run, peers.permutations(counts, draws), peers.chances)


REGISTRY: dict[str, Entry] = {
    "sequences-base-text": Entry(
        "exact sequences, 91% distinct, text", "sequences", _sequences("base", "text", verify=True), 1_000_000
    ),
    "sequences-collapsed-text": Entry(
        "exact sequences, 3% distinct, text",
        "sequences",
        _sequences("collapsed", "text", verify=True),
        1_000_000,
    ),
    "sequences-base-128": Entry(
        "128-bit sequences, 91% distinct, text",
        "sequences",
        _sequences("base", "text", verify=False),
        1_000_000,
    ),
    "sequences-base-tokens": Entry(
        "exact sequences, 91% distinct, tokens",
        "sequences",
        _sequences("base", "tokens", verify=True),
        1_000_000,
    ),
    "ngrams-base": Entry("3-grams, 91% distinct samples", "n-grams", _ngrams("base", 3), 200_000),
    "ngrams-collapsed": Entry("3-grams, 3% distinct samples", "n-grams", _ngrams("collapsed", 3), 200_000),
    "minhash": Entry("MinHash signatures, 128 places, texts of 200", "texts", _minhash, 50_000),
    "near-duplicates": Entry(
        "near-duplicates, a third edited copies, texts of 200", "texts", _near_duplicates, 50_000
    ),
    "js-matrix": Entry("Jensen-Shannon matrix, 16 options", "pairs", _matrix("js"), 2_000_000),
    "hellinger-matrix": Entry("Hellinger matrix, 16 options", "pairs", _matrix("hellinger"), 8_000_000),
    "linkage": Entry("average linkage", "distances", _linkage, 2_000),
    "kmeans": Entry("k-means, 8 clusters, 16 options, 20 passes", "row-passes", _kmeans, 100_000),
    "token-stats": Entry("token statistics, 32,000 tokens, CPU", "tokens", _token_stats, 2_000),
    "permutations": Entry("permutation draws, 8 prompts x 2 x 16", "draws", _permutations, 20_000),
}
"""What is timed, in the order of the table. A new operation is one entry here."""


def measure(
    name: str, *, quick: bool, seconds: float, with_peers: bool, size: int | None = None
) -> Operation:
    """Time one operation.

    Parameters
    ----------
    name : str
        Of :data:`REGISTRY`.
    quick : bool
        A tenth of the size.
    seconds : float
        About how long, peers included.
    with_peers : bool
        Race the peers too.
    size : int, optional
        Another size.

    Returns
    -------
    Operation
    """
    entry = REGISTRY[name]
    case = entry.prepare(size or (entry.quick or max(1, entry.size // 10) if quick else entry.size))
    timing, others = race(case.run, case.rivals if with_peers else {}, case.same, seconds=seconds)
    return Operation(name, entry.title, entry.unit, case.items, case.nbytes, timing, others)
