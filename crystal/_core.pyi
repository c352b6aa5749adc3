from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

INTERFACE: int

# blend
def fit_blend(
    targets: npt.NDArray[np.float64],
    dictionary: npt.NDArray[np.float64],
    tolerance: float,
    limit: int,
    threads: int,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]: ...

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
