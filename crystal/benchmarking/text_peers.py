"""Other implementations of what is done to texts and token sequences, and what makes two answers equal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.benchmarking.clock import Rival
from crystal.benchmarking.peers import fingerprint

Integers = npt.NDArray[np.int64]


def distinct(values: npt.NDArray[Any], offsets: Integers) -> dict[str, Rival]:
    """Return peers that count distinct sequences, as texts or as the bytes of their tokens."""
    import pyarrow as pa

    kind = pa.large_string() if values.itemsize == 1 else pa.large_binary()
    buffers = [None, pa.py_buffer(offsets * values.itemsize), pa.py_buffer(values)]
    column = pa.Array.from_buffers(kind, len(offsets) - 1, buffers)

    def by_pyarrow(_: Any) -> Callable[[], Any]:
        def run() -> Any:
            coded = column.dictionary_encode()
            return fingerprint(np.bincount(coded.indices.to_numpy(), minlength=len(coded.dictionary)))

        return run

    def by_polars(polars: Any) -> Callable[[], Any]:
        frame = polars.DataFrame({"key": polars.from_arrow(column)})
        return lambda: fingerprint(frame.group_by("key").len()["len"].to_numpy())

    return {
        "pyarrow": Rival("pyarrow", "pyarrow", by_pyarrow),
        "polars": Rival("polars", "polars", by_polars),
    }


def sorted_ngrams(values: npt.NDArray[Any], offsets: npt.NDArray[np.int64], n: int) -> dict[str, Rival]:
    """Return a peer that packs n-grams into 64 bits and sorts them: n is at most 3, values are below 2^21."""

    def by_numpy(_: Any) -> Callable[[], Any]:
        def run() -> Any:
            wide = values.astype(np.uint64)
            keys = wide[: len(wide) - n + 1].copy()
            for step in range(1, n):
                keys = (keys << np.uint64(21)) | wide[step : len(wide) - n + 1 + step]
            last = np.repeat(offsets[1:], np.diff(offsets))[: len(keys)]
            keys = keys[np.arange(len(keys)) + n <= last]
            # Sorted in place, where numpy.unique copies and takes several times as long.
            keys.sort()
            return len(keys), int(np.count_nonzero(keys[1:] != keys[:-1])) + 1

        return run

    return {"numpy": Rival("numpy", "numpy", by_numpy)}


def shingle_hashes(values: npt.NDArray[np.uint8], offsets: Integers, n: int) -> tuple[Any, Any]:
    """Return a 64-bit hash of each n bytes of a text (n at most 8), and where each text's end."""
    codes = np.zeros(len(values) - n + 1, np.uint64)
    for place in range(n):
        codes = codes << np.uint64(8) | values[place : len(values) - n + 1 + place].astype(np.uint64)
    inside = np.arange(len(codes)) + n <= np.repeat(offsets[1:], np.diff(offsets))[: len(codes)]
    for shift in (32, 29):
        codes = (codes ^ codes >> np.uint64(shift)) * np.uint64(0xA0761D6478BD642F)
    ends = np.concatenate([[0], np.cumsum(np.maximum(np.diff(offsets) - n + 1, 0))])
    return (codes ^ codes >> np.uint64(32))[inside], ends.astype(np.uint64)


def signatures(values: npt.NDArray[np.uint8], offsets: Integers, n: int, places: int) -> dict[str, Rival]:
    """Return peers that make MinHash signatures; rensa is given hashed shingles free of charge."""
    factors = np.random.default_rng(0).integers(0, 1 << 32, places, dtype=np.uint32) | np.uint32(1)

    def by_numba(numba: Any) -> Callable[[], Any]:
        @numba.njit(nogil=True)  # type: ignore[untyped-decorator]
        def fill(values: Any, offsets: Any, factors: Any, out: Any) -> None:
            for row in range(len(offsets) - 1):
                least = out[row]
                least[:] = np.uint32(0xFFFFFFFF)
                for begin in range(offsets[row], offsets[row + 1] - n + 1):
                    code = np.uint64(n)
                    for at in range(begin, begin + n):
                        code = code * np.uint64(0x9E6C63D0876A9A99) + np.uint64(values[at])
                    code = (code ^ code >> np.uint64(32)) * np.uint64(0xD6E8FEB86659FD93)
                    code = (code ^ code >> np.uint64(29)) * np.uint64(0xA0761D6478BD642F)
                    hashed = np.uint32((code ^ code >> np.uint64(32)) >> np.uint64(32))
                    for place in range(len(factors)):
                        value = np.uint32(hashed * factors[place])
                        least[place] = min(least[place], value)

        def run() -> Any:
            out = np.empty((len(offsets) - 1, places), np.uint32)
            fill(values, offsets, factors, out)
            return out

        return run

    def by_rensa(rensa: Any) -> Callable[[], Any]:
        hashes, ends = shingle_hashes(values, offsets, n)
        return lambda: rensa.RMinHash.digest_matrix_from_flat_token_hashes(hashes, ends, places, 42)

    return {"numba": Rival("numba", "numba", by_numba), "rensa": Rival("rensa", "rensa", by_rensa)}


def same_similarity(
    values: npt.NDArray[np.uint8], offsets: Integers, source: Integers, n: int
) -> Callable[[Any, Any], bool]:
    """Return what holds two kinds of signatures to the similarity of rows and of what they were edited from.

    The mean of at most 500 pairs' estimates has to be within five standard errors of the exact one.
    """
    second = np.flatnonzero(source != np.arange(len(source)))[:500]
    first = source[second]

    def shingles(row: int) -> set[bytes]:
        text = values[offsets[row] : offsets[row + 1]].tobytes()
        return {text[at : at + n] for at in range(max(len(text) - n, 0) + 1)}

    def jaccard(a: set[bytes], b: set[bytes]) -> float:
        return len(a & b) / len(a | b)

    exact = np.array([jaccard(shingles(a), shingles(b)) for a, b in zip(first, second, strict=True)])

    def right(made: Any) -> bool:
        rows = np.asarray(made.to_rows() if hasattr(made, "to_rows") else made)
        error = (rows[first] == rows[second]).mean(axis=1) - exact
        spread = np.sqrt((exact * (1 - exact)).sum() / rows.shape[1]) / max(len(exact), 1)
        return bool(abs(error.mean()) <= 5 * spread) if len(exact) else True

    return lambda ours, theirs: right(ours) and right(theirs)


def near_duplicates(texts: Any) -> dict[str, Rival]:
    """Return a peer that proposes near-duplicates by bands and connects them; equal texts stand as one."""
    bands, width, n = 25, 5, 5

    def by_rensa(rensa: Any) -> Callable[[], Any]:
        def run() -> Any:
            rows = list(dict.fromkeys(texts.to_pylist()))
            shingles = [[row[at : at + n] for at in range(max(len(row) - n, 0) + 1)] for row in rows]
            signed = rensa.RMinHash.from_token_sets(shingles, bands * width, 42)
            index = rensa.RMinHashLSH(0.8, bands * width, bands)
            index.insert_many(signed)
            root = list(range(len(rows)))

            def find(row: int) -> int:
                while root[row] != row:
                    root[row] = row = root[root[row]]
                return row

            for row, others in enumerate(index.query_all(signed)):
                for other in others:
                    root[find(other)] = find(row)
            return sum(find(row) == row for row in range(len(rows)))

        return run

    return {"rensa": Rival("rensa", "rensa", by_rensa)}
