from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

INTERFACE: int

def available_threads() -> int: ...
def thread_count(requested: int) -> int: ...

# blend
def fit_blend(
    targets: npt.NDArray[np.float64],
    dictionary: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64] | None,
    tolerance: float,
    limit: int,
    threads: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

# clustering
def distance_table(distances: npt.NDArray[np.float64], n: int) -> npt.NDArray[np.float64] | None: ...
def linkage(
    distances: npt.NDArray[np.float64], method: str, portable: bool
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.int64]]: ...
def kmeans_starts(
    roots: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    uniforms: npt.NDArray[np.float64],
    portable: bool,
) -> npt.NDArray[np.int64]: ...
def kmeans_best(
    x: npt.NDArray[np.float64],
    roots: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    uniforms: npt.NDArray[np.float64],
    geometry: str,
    limit: int,
    threads: int,
    portable: bool,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], float, int, bool]: ...
def kmeans(
    x: npt.NDArray[np.float64],
    weights: npt.NDArray[np.float64],
    start: npt.NDArray[np.float64],
    geometry: str,
    limit: int,
    threads: int,
    portable: bool,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], float, int, bool]: ...

# divergence
def js_matrix(
    left: npt.NDArray[np.float64], right: npt.NDArray[np.float64] | None, path: str, threads: int
) -> npt.NDArray[np.float64]: ...
def hellinger_from_products(
    left: npt.NDArray[np.float64],
    right: npt.NDArray[np.float64] | None,
    products: npt.NDArray[np.float64],
    path: str,
    threads: int,
) -> None: ...
def divergence_path_available(path: str) -> bool: ...

# grouping
def group_rows(
    columns: Sequence[tuple[npt.NDArray[np.int32], int]],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...
def group_numbers(
    values: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]: ...

# tables
class KeyTable:
    def __init__(self, distribution: bool, names: Sequence[str]) -> None: ...
    @property
    def distribution(self) -> bool: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def rows(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    def update(
        self,
        columns: Sequence[tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.int64]]],
        values: npt.NDArray[np.int64] | None,
    ) -> None: ...
    def merge(self, other: KeyTable) -> None: ...
    def canonical(
        self,
    ) -> tuple[
        list[tuple[npt.NDArray[np.int32], npt.NDArray[np.uint8], npt.NDArray[np.int64]]],
        npt.NDArray[np.int64],
    ]: ...
    def to_bytes(self) -> bytes: ...
    @staticmethod
    def from_bytes(data: bytes) -> KeyTable: ...

# json_lines
def scan_json_lines(
    block: bytes, fields: Sequence[tuple[Sequence[str], str]]
) -> tuple[list[tuple[npt.NDArray[np.uint8], int, Any]], npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...

# resampling
def permutation_test(
    counts: npt.NDArray[np.int64],
    statistic: str,
    mass: float,
    draws: int,
    exceedances: int,
    seed: int,
    key: int,
    threads: int,
) -> tuple[float, float, int, int, int, float, float, int]: ...
def simulate(
    probabilities: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    statistic: str,
    draws: int,
    seed: int,
    key: int,
    threads: int,
) -> npt.NDArray[np.float64]: ...
def simulate_counts(
    probabilities: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    draws: int,
    seed: int,
    key: int,
    threads: int,
) -> npt.NDArray[np.int64]: ...
def cut_g(counts: npt.NDArray[np.int64], threads: int) -> npt.NDArray[np.float64]: ...
def ordered_cut_g(
    counts: npt.NDArray[np.int64], orders: npt.NDArray[np.int64], threads: int
) -> npt.NDArray[np.float64]: ...
def simulate_cut_g(
    probabilities: npt.NDArray[np.float64],
    sizes: npt.NDArray[np.int64],
    draws: int,
    seed: int,
    key: int,
    threads: int,
) -> npt.NDArray[np.float64]: ...
def permute_counts(
    counts: npt.NDArray[np.int64], draws: int, seed: int, key: int, threads: int
) -> npt.NDArray[np.int64]: ...
def split_counts(
    counts: npt.NDArray[np.int64], splits: int, seed: int, key: int, threads: int
) -> npt.NDArray[np.int64]: ...
def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]: ...
def philox_words(seed: int, key: int, replicate: int, count: int) -> npt.NDArray[np.uint32]: ...

# tokens
def token_path_available(path: str) -> bool: ...
def token_state(
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16],
    type: str,
    tokens: npt.NDArray[np.int64],
    chosen: npt.NDArray[np.float32] | None,
    temperatures: Sequence[float],
    level: str,
    ignored_id: int,
    first_id: int,
    threads: int,
    path: str,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]: ...
def token_curve(
    logits: npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16],
    type: str,
    tokens: npt.NDArray[np.int64],
    temperatures: npt.NDArray[np.float64],
    ignored_id: int,
    threads: int,
    path: str,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]: ...
def token_divergence(
    p_logits: npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16],
    q_logits: npt.NDArray[np.float32] | npt.NDArray[np.float16] | npt.NDArray[np.uint16],
    type: str,
    tokens: npt.NDArray[np.int64],
    levels: npt.NDArray[np.float64] | None,
    status: npt.NDArray[np.int64] | None,
    temperature: float,
    ignored_id: int,
    first_id: int,
    threads: int,
    path: str,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.int64]]: ...

# sequences
def count_sequences(
    values: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    width: int,
    verify: bool,
    inverse: bool,
    threads: int,
) -> tuple[npt.NDArray[np.int32] | None, npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...

# sequence tables
class SequenceTable:
    def __init__(self, verify: bool) -> None: ...
    @property
    def size(self) -> int: ...
    @property
    def nbytes(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def parts(self) -> int: ...
    def add(
        self,
        values: npt.NDArray[np.uint8],
        offsets: npt.NDArray[np.int64],
        width: int,
        cells: npt.NDArray[np.int32] | None,
        counts: npt.NDArray[np.int64] | None,
        n: int,
        threads: int,
    ) -> None: ...
    def add_records(self, records: bytes, map: npt.NDArray[np.uint32]) -> None: ...
    def clear(self) -> None: ...
    def part(self, index: int, ranks: npt.NDArray[np.uint32], ranked: bool) -> bytes: ...

class RunMerger:
    def __init__(self, runs: int, ranks: npt.NDArray[np.uint32], ranked: bool) -> None: ...
    def feed(self, run: int, data: bytes, last: bool) -> None: ...
    def advance(self, limit: int) -> tuple[int, bool, bytes]: ...

class RecordCheck:
    def __init__(self, verify: bool, unit: int, length: int, cells: int) -> None: ...
    def check(self, data: bytes) -> int: ...
    def finish(self) -> None: ...

class SequenceSpectra:
    def __init__(self) -> None: ...
    def add(self, records: bytes) -> None: ...
    def lines(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64]]: ...

# ngrams
def ngram_counts(
    values: npt.NDArray[np.uint8], offsets: npt.NDArray[np.int64], width: int, n: int, threads: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int32], bool]: ...

# near_duplicates
def minhash(
    values: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    width: int,
    unit: str,
    n: int,
    permutations: int,
    seed: int,
    threads: int,
    path: str,
) -> npt.NDArray[np.uint32]: ...
def minhash_path_available(path: str) -> bool: ...
def near_duplicates(
    values: npt.NDArray[np.uint8],
    offsets: npt.NDArray[np.int64],
    width: int,
    unit: str,
    n: int,
    seed: int,
    threshold: float,
    bands: int,
    rows: int,
    key_bytes: int,
    threads: int,
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.int64], int, int, int]: ...
