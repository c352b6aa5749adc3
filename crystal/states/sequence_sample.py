"""What is kept of the texts: exact sums over all samples, and a bounded sample of the texts, by cell."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.errors import StateError
from crystal.ops.lists import lists_to_ragged
from crystal.ops.ngrams import ngram_counts
from crystal.ops.ragged import strings_to_ragged
from crystal.states.cells import cells_of
from crystal.states.count_table import CountTable

Integers = npt.NDArray[np.int64]
CELL = ("checkpoint", "task", "prompt")
LENGTHS = (1, 2, 3, 4)
"""The n of n-grams."""
FRACTION = 24
"""Bits behind the point of a sample's repetition and of its square."""
BUDGET = 1 << 15
"""Bytes of distinct texts that are kept of each cell."""
SUMS = (
    "samples",
    "from_tokens",
    "words",
    *(f"{name}.{n}" for n in LENGTHS for name in ("repeating", "repeats", "squares")),
)
_SPACE = r"[\t-\r \x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}]"
"""White space as Unicode has it."""
_SIZE = struct.Struct("<Q")
_SLACK = 1 << 24


class SequenceSample:
    """Sums over the words of all samples, and the texts with the smallest hashes, by cell.

    A cell is (checkpoint, task, prompt). A text is cut into words at white space; samples that have tokens
    alone are the text of their ids. Sums:
    ``samples``, ``from_tokens`` (those of them that had tokens alone), ``words``, and for n = 1 to 4
    ``repeating.n`` (samples that have an n-gram), ``repeats.n`` and ``squares.n``: of the share of a sample's
    n-grams that repeat another one of it, and of its square, in units of 2^-24.

    Texts: the distinct ones in the order of their 128-bit hash (then bytes), up to the one with which they no
    longer fit into the budget, each with its exact count. A text among those of the whole is among those of
    every part, so no part has thrown it away: its count is exact, and the state does not depend on order or
    split. (The one that no longer fits has to be kept: without it a part would forget where it was cut.)

    Parameters
    ----------
    budget : int
        Bytes of distinct texts that are kept of each cell; longer texts are in the sums alone. It must agree
        on merge.

    Examples
    --------
    >>> sample = SequenceSample()
    >>> cell = {"checkpoint": ["base"] * 3, "task": ["story"] * 3, "prompt": ["p"] * 3}
    >>> sample.update(cell, text=["a a b", "c", "a a b"])
    >>> sample.result()["texts"].select(["text", "count"]).to_pylist()
    [{'text': 'a a b', 'count': 2}, {'text': 'c', 'count': 1}]
    """

    def __init__(self, budget: int = BUDGET) -> None:
        self.budget = budget
        self.sums = CountTable((*CELL, "sum"))
        self._texts = CountTable((*CELL, "text"))
        self._trimmed = True
        self._most = _SLACK

    @property
    def nbytes(self) -> int:
        """Heap bytes held now."""
        return self.sums.nbytes + self._texts.nbytes

    @property
    def texts(self) -> CountTable:
        """The texts that are kept, with their counts."""
        if not self._trimmed:
            self._texts = _within(self._texts, self.budget)
            self._trimmed = True
            self._most = 2 * self._texts.nbytes + _SLACK
        return self._texts

    def __bool__(self) -> bool:
        return bool(self.sums)

    def empty(self) -> Self:
        """Return an empty state of the same budget."""
        return type(self)(self.budget)

    def update(self, columns: Mapping[str, Any], *, text: Any = None, tokens: Any = None) -> None:
        """Add a batch of samples; nothing changes if it is refused.

        Parameters
        ----------
        columns : mapping of str to string column
            ``checkpoint``, ``task`` and ``prompt``, never null.
        text : string column, optional
            Null where a sample has none.
        tokens : list column of integers, optional
            Looked at where there is no text. Samples with neither are left out.

        Raises
        ------
        InputError
            If a column is of another type.
        StateError
            If keys are missing or null, or columns differ in length.
        """
        rows = len(text if text is not None else tokens if tokens is not None else ())
        words, alone = _texts_of(text, tokens, rows)
        cells, codes = cells_of(columns, CELL, rows)
        known = words.is_valid().to_numpy(zero_copy_only=False)
        words, codes, alone = words.filter(pa.array(known)), codes[known], alone[known]
        encoded = words.dictionary_encode()
        ids = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        # One row a distinct text of a cell, and whether it came as tokens.
        kinds, count = np.unique(
            (codes * max(len(encoded.dictionary), 1) + ids) * 2 + alone, return_counts=True
        )
        pairs, from_tokens = kinds // 2, kinds % 2
        codes, ids = np.divmod(pairs, max(len(encoded.dictionary), 1))
        keys = {name: pa.array([cell[c] for cell in cells], pa.large_string()) for c, name in enumerate(CELL)}
        batch = self.empty()
        batch._add_sums(keys, codes, count, from_tokens, _sums_of(encoded.dictionary)[ids])
        short = pc.less_equal(pc.binary_length(encoded.dictionary), self.budget)
        fits = short.to_numpy(zero_copy_only=False).astype(bool)[ids]
        where = {name: _dictionary(codes[fits], column) for name, column in keys.items()}
        batch._texts.update({**where, "text": _dictionary(ids[fits], encoded.dictionary)}, count[fits])
        batch._trimmed = False
        self.merge(batch)

    def check(self, other: Self) -> None:
        """Raise :class:`StateError` if `other` has another budget, or their sums would leave int64."""
        if type(other) is not type(self) or other.budget != self.budget:
            raise StateError(
                "the states have different configurations",
                where="merge",
                expected=f"texts within {self.budget} bytes",
                got=f"texts within {other.budget} bytes"
                if isinstance(other, SequenceSample)
                else type(other).__name__,
            )
        self.sums.check(other.sums)
        self._texts.check(other._texts)

    def merge(self, other: Self) -> None:
        """Add all of another state, which stays as it is.

        Raises
        ------
        StateError
            If it has another budget (both are named), or a sum would leave int64.
        """
        self.check(other)
        self.sums.merge(other.sums)
        self._texts.merge(other.texts)
        self._trimmed = False
        if self._texts.nbytes > self._most:
            _ = self.texts

    def result(self) -> dict[str, pa.Table]:
        """Return the rows of ``sums`` and ``texts`` in canonical order."""
        return {"sums": self.sums.result(), "texts": self.texts.result()}

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: the budget, the length of the sums' table, both tables."""
        sums = self.sums.to_bytes()
        return _SIZE.pack(self.budget) + _SIZE.pack(len(sums)) + sums + self.texts.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what :meth:`to_bytes` wrote.

        Raises
        ------
        StateError
            If the bytes are damaged, or break a rule of the state.
        """
        if len(data) < 2 * _SIZE.size:
            raise StateError("the bytes end too early", where="sequence sample")
        (budget,), (size,) = _SIZE.unpack_from(data), _SIZE.unpack_from(data, _SIZE.size)
        start = 2 * _SIZE.size
        self = cls(budget)
        sums = CountTable.from_bytes(data[start : start + size])
        texts = CountTable.from_bytes(data[start + size :])
        for table, fresh in ((sums, self.sums), (texts, self._texts)):
            if table.columns != fresh.columns or any(table.result()[c].null_count for c in fresh.columns):
                raise StateError("a table has other columns, or null keys", where="sequence sample")
        names = sums.result()["sum"].combine_chunks().dictionary.to_pylist()
        if not {*names} <= {*SUMS}:
            raise StateError("a sum has an unknown name", where="sequence sample", fix="update crystal")
        if len(_within(texts, budget)) != len(texts):
            raise StateError("more texts are kept than fit", where="sequence sample")
        self.sums, self._texts = sums, texts
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # states change

    def _add_sums(
        self,
        keys: Mapping[str, Any],
        codes: Integers,
        count: Integers,
        from_tokens: Integers,
        each: Integers,
    ) -> None:
        table = np.zeros((len(keys["task"]), len(SUMS)), np.int64)
        weighted = np.column_stack([count, count * from_tokens, count[:, None] * each])
        for column in range(len(SUMS)):
            np.add.at(table[:, column], codes, weighted[:, column])
        cell, place = np.nonzero(table)
        columns = {name: _dictionary(cell, column) for name, column in keys.items()}
        names = pa.array(SUMS, pa.large_string())
        self.sums.update({**columns, "sum": _dictionary(place, names)}, table[cell, place])


def words_of(texts: Any) -> tuple[Any, Integers]:
    """Cut texts into words at white space.

    Parameters
    ----------
    texts : pyarrow large_string array without nulls

    Returns
    -------
    words : pyarrow large_string array
        Those of all texts behind one another.
    offsets : int64 [n + 1]

    Examples
    --------
    >>> words, offsets = words_of(pa.array([" a  b", "", "c"], pa.large_string()))
    >>> words.to_pylist(), offsets.tolist()
    (['a', 'b', 'c'], [0, 2, 2, 3])
    """
    # Not Arrow's own splitting at Unicode white space: it did not always see such a character at an end.
    ascii_alone = pc.all(pc.string_is_ascii(texts), min_count=0).as_py()
    lists = pc.ascii_split_whitespace(texts) if ascii_alone else pc.split_pattern_regex(texts, _SPACE)
    lengths = pc.list_value_length(lists).to_numpy(zero_copy_only=False)
    words = lists.flatten()
    # White space at an end leaves an empty word there.
    real = pc.not_equal(words, "").to_numpy(zero_copy_only=False).astype(bool)
    before = np.concatenate([[0], np.cumsum(real)]).astype(np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return words.filter(pa.array(real)).cast(pa.large_string()), before[offsets]


def _sums_of(texts: Any) -> Integers:
    """Return the sums of each text from ``words`` on."""
    words, offsets = words_of(texts)
    ids = words.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int32)
    columns = [np.diff(offsets)]
    for n in LENGTHS:
        found = ngram_counts(ids, offsets, n)
        total = np.maximum(found.sample_total, 1)
        repeats = found.sample_total - found.sample_distinct
        share = ((repeats << FRACTION) + total // 2) // total
        columns += [(found.sample_total > 0).astype(np.int64), share, (share * share) >> FRACTION]
    return np.column_stack(columns)


def _texts_of(text: Any, tokens: Any, rows: int) -> tuple[Any, npt.NDArray[np.int64]]:
    """Return the text of each row, null where it has none, and 1 where it is that of token ids."""
    kind = pa.large_string()
    given = pa.nulls(rows, kind) if text is None else strings_to_ragged(text).to_arrow()
    if tokens is None or not given.null_count:
        return given, np.zeros(rows, np.int64)
    lists = tokens if isinstance(tokens, pa.Array) else pa.array(tokens, pa.large_list(pa.int64()))
    if len(lists) != rows:
        raise StateError("the columns differ in length", where="column tokens")
    if pa.types.is_null(lists.type):
        return given, np.zeros(rows, np.int64)
    lists_to_ragged(lists)  # refuses what is no list of numbers
    ids = pc.binary_join(pc.cast(lists, pa.large_list(kind)), pa.scalar(" ", kind))
    alone = pc.and_(given.is_null(), ids.is_valid()).to_numpy(zero_copy_only=False)
    return pc.coalesce(given, ids), alone.astype(np.int64)


def _dictionary(codes: Integers, values: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), values)


def _within(texts: CountTable, budget: int) -> CountTable:
    """Return the texts of each cell up to the one that no longer fits, in the order of their hashes."""
    rows = texts.result()
    columns = [rows[name].combine_chunks() for name in texts.columns]
    index = [column.indices.to_numpy(zero_copy_only=False).astype(np.int64) for column in columns]
    if not len(rows):
        return texts
    sizes = pc.binary_length(columns[3].dictionary).to_numpy(zero_copy_only=False).astype(np.int64)[index[3]]
    # Rows ascend by cell, then by the hash of the text: canonical order is all that is needed.
    starts = np.flatnonzero(np.any([np.diff(ids, prepend=-1) != 0 for ids in index[:3]], axis=0))
    running = np.cumsum(sizes)
    before = np.repeat((running - sizes)[starts], np.diff(np.append(starts, len(sizes))))
    keep = (running - before - sizes <= budget) & (sizes <= budget)
    if keep.all():
        return texts
    kept = CountTable(texts.columns)
    chosen = {
        name: _dictionary(ids[keep], column.dictionary)
        for name, ids, column in zip(texts.columns, index, columns, strict=True)
    }
    kept.update(chosen, rows["count"].to_numpy()[keep])
    return kept
