"""Columns of one log into rows of the sample table, and each row that is none into a rejection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.ops.grouping import group
from crystal.readers import columns, fields
from crystal.readers.columns import Mask, mask_of
from crystal.readers.distributions import KEYS, Distributions
from crystal.readers.ledger import Ledger
from crystal.readers.paths import Place
from crystal.readers.rejections import Judge, shown
from crystal.samples import STAGES, Checkpoint, distribution_schema, sample_schema

Rows = npt.NDArray[np.int64]


class Refusals:
    """The rows of a batch that are refused: the first reason of each counts."""

    def __init__(self, n: int) -> None:
        self.ok = np.ones(n, bool)
        self.reasons: dict[int, str] = {}

    def refuse(self, mask: Mask, reason: str | Callable[[int], str]) -> None:
        """Refuse the rows of a mask that are not refused yet."""
        for index in np.flatnonzero(mask & self.ok).tolist():
            self.reasons[index] = reason if isinstance(reason, str) else reason(index)
        self.ok &= ~mask


class Normaliser:
    """Turns the columns of one file, batch by batch, into batches of the sample table.

    Parameters
    ----------
    file : str
        How to call the file in messages and in the column ``source``.
    place : Place
        What the file's place says, for rows that do not say it themselves.
    judge : Judge
        What happens to bad rows.
    ledger : Ledger
        The checkpoints of the whole stream.
    exact : Distributions
        Where exact rows wait for the end of the stream, if bad rows are collected.
    counting : bool
        Leave out of samples what is never counted, and leave a text that comes as a dictionary as it is.
    """

    def __init__(
        self,
        file: str,
        place: Place,
        judge: Judge,
        ledger: Ledger,
        exact: Distributions,
        *,
        counting: bool = False,
    ) -> None:
        self.file, self.place, self.judge, self.ledger, self.exact = file, place, judge, ledger, exact
        self.counting = counting
        self._nulls: dict[str, Any] = {}
        self.read = 0
        """Rows seen so far: accepted and refused."""
        self.placed = False
        """True once a row took its ladder, stage or step from the file's place."""

    def batches(self, raw: dict[str, Any], rows: Rows) -> Iterator[Any]:
        """Yield up to two batches: the samples, and the exact distributions among the rows.

        Where bad rows are collected, exact distributions are held in place of being yielded.

        Parameters
        ----------
        raw : dict of str to pyarrow.Array of length n
            Fields of :data:`crystal.readers.fields.FIELDS`, of any Arrow type.
        rows : int64 array of shape (n,)
            Row numbers in the file, from 1.
        """
        n = len(rows)
        if n == 0:
            return
        self.read += n
        refusals = Refusals(n)
        table = self._typed(raw, n, refusals)
        self._fill(table)
        self._require(table, refusals)
        exact = mask_of(pc.or_(table["probability"].is_valid(), table["option"].is_valid()))
        if exact.any():
            self._judge_probabilities(table, exact, refusals)
        if not exact.all():
            answered = [mask_of(table[field].is_valid()) for field in ("text", "answer", "tokens")]
            missing = ~(exact | np.logical_or.reduce(answered))
            refusals.refuse(missing, "a row needs one of 'text', 'answer' and 'tokens', and has none")
        for index in sorted(refusals.reasons):
            self.judge.reject(self.file, int(rows[index]), refusals.reasons[index])
        ok = refusals.ok
        if exact.any() and not ok.all():
            self._spoil(table, exact & ~ok, rows)
        if not ok.any():
            return
        self._enter(table, ok)
        for mask, build in ((ok & ~exact, self._samples), (ok & exact, self._distributions)):
            if not mask.any():
                continue
            batch = build(table)
            batch = batch if mask.all() else batch.filter(pa.array(mask))
            if build == self._distributions and self.judge.collecting:
                self.exact.hold(batch, self.file, rows[mask])
            else:
                yield batch

    def _typed(self, raw: dict[str, Any], n: int, refusals: Refusals) -> dict[str, Any]:
        table: dict[str, Any] = {}
        if (reasons := raw.get(fields.REFUSED)) is not None:
            refusals.refuse(mask_of(reasons.is_valid()), lambda index: str(reasons[index].as_py()))
        for field, kind in fields.FIELDS.items():
            column = raw.get(field)
            if column is None:
                table[field] = self._absent(kind, n)
                continue
            if isinstance(column, pa.ChunkedArray):
                column = column.combine_chunks()
            if self.counting and field == "text" and pa.types.is_dictionary(column.type):
                kind = columns.coded(column)
            table[field], misfits, reason = columns.convert(column, kind)
            if misfits is not None:
                text = f"field {field!r}: {reason}"
                refusals.refuse(misfits, _with_value(text, column))
        return table

    def _absent(self, kind: str, n: int) -> Any:
        """Return a column of nulls; most fields are in no log, so each kind's are made once."""
        if len(self._nulls.get(kind, ())) < n:
            self._nulls[kind] = columns.nulls(kind, n)
        return self._nulls[kind].slice(0, n)

    def _fill(self, table: dict[str, Any]) -> None:
        place = self.place
        self.placed |= any(table[field].null_count for field in ("ladder", "stage", "step"))
        by_place = pc.and_(table["stage"].is_null(), table["step"].is_null())
        table["ladder"] = _or_constant(table["ladder"], place.ladder)
        table["stage"] = _on_values(_or_constant(table["stage"], place.stage), _as_stage)
        if place.step is not None:
            table["step"] = pc.fill_null(table["step"], place.step)
        table["prompt"] = _on_values(table["prompt"], lambda values: pc.utf8_normalize(values, form="NFC"))
        table["source"] = _or_constant(table["source"], self.file)
        if table["checkpoint"].null_count:
            keys = [table["checkpoint"], table["stage"], table["step"], by_place]
            groups = group(keys)
            checkpoint, stage, step, placed = (key.take(pa.array(groups.first)) for key in keys)
            named = _named(stage, step)
            if place.checkpoint is not None:
                named = pc.if_else(placed, pa.scalar(place.checkpoint, pa.large_string()), named)
            names = pc.dictionary_encode(pc.coalesce(pc.cast(checkpoint, pa.large_string()), named))
            indices = names.indices.take(pa.array(groups.codes))
            table["checkpoint"] = pa.DictionaryArray.from_arrays(indices, names.dictionary)

    def _require(self, table: dict[str, Any], refusals: Refusals) -> None:
        for field in ("task", "prompt", "stage", "step"):
            column = table[field]
            if column.null_count:
                refusals.refuse(mask_of(column.is_null()), f"field {field!r} is missing")
        stage = table["stage"]
        for field in ("task", "ladder", "checkpoint"):
            column = table[field]
            empty = pc.equal(pc.utf8_trim_whitespace(column.dictionary), "")
            refusals.refuse(_rows_with(column, empty), f"field {field!r} is empty")
        known = pc.is_in(stage.dictionary, value_set=pa.array(STAGES, pa.large_string()))
        expected = f"unknown stage, expected one of {', '.join(STAGES)}"
        refusals.refuse(_rows_with(stage, pc.invert(known)), _with_value(expected, stage))

    def _judge_probabilities(self, table: dict[str, Any], exact: Mask, refusals: Refusals) -> None:
        probability = table["probability"]
        for field in ("option", "probability"):
            refusals.refuse(exact & mask_of(table[field].is_null()), f"field {field!r} is missing")
        values = pc.fill_null(probability, 0.0).to_numpy(zero_copy_only=False)
        within = (values >= 0) & (values <= 1)
        refusals.refuse(
            exact & ~within, _with_value("field 'probability': expected a number from 0 to 1", probability)
        )

    def _spoil(self, table: dict[str, Any], mask: Mask, rows: Rows) -> None:
        """Tell whose distributions have a refused row, where the row says it."""
        told = [mask_of(table[field].is_valid()) for field in ("task", "prompt", "step")]
        known = np.logical_and.reduce(told)
        if (mask & known).any():
            chosen = pa.array(mask & known)
            keys = {name: table[name].filter(chosen) for name in KEYS}
            self.exact.spoil(keys, self.file, rows[mask & known])

    def _enter(self, table: dict[str, Any], ok: Mask) -> None:
        names = ("ladder", "stage", "step", "checkpoint")
        keys = [table[name] if ok.all() else table[name].filter(pa.array(ok)) for name in names]
        first = pa.array(group(keys).first)
        for rung in zip(*(key.take(first).to_pylist() for key in keys), strict=True):
            self.ledger.enter(Checkpoint(*rung), self.file)

    def _samples(self, table: dict[str, Any]) -> Any:
        schema = sample_schema()
        decoding = pa.StructArray.from_arrays(
            [pc.cast(table[field.name], field.type) for field in schema.field("decoding").type],
            fields=list(schema.field("decoding").type),
            mask=pc.and_(*_all_null(table)),
        )
        built = {**table, "decoding": decoding}
        if self.counting:
            kept = [
                field.with_type(built[field.name].type)
                for field in schema
                if field.name not in fields.REMARKS
            ]
            schema = pa.schema(kept, metadata=schema.metadata)
        else:
            built["sample"] = pc.cast(_within(table["sample"], 2**31 - 1), pa.int32())
            built["score"] = pc.cast(table["score"], pa.float32(), safe=False)
        return pa.record_batch([built[field.name] for field in schema], schema=schema)

    def _distributions(self, table: dict[str, Any]) -> Any:
        schema = distribution_schema()
        return pa.record_batch([table[field.name] for field in schema], schema=schema)


def _all_null(table: dict[str, Any]) -> tuple[Any, Any]:
    nulls = [table[field].is_null() for field in fields.DECODING]
    head = nulls[0]
    for other in nulls[1:-1]:
        head = pc.and_(head, other)
    return head, nulls[-1]


def _within(column: Any, most: int) -> Any:
    """Drop sample numbers that int32 cannot hold: they are a remark, and nothing is computed from them."""
    fits = pc.less_equal(pc.abs_checked(pc.max_element_wise(column, -most)), most)
    return pc.if_else(fits, column, pa.scalar(None, column.type))


def _with_value(text: str, column: Any) -> Callable[[int], str]:
    def reason(index: int) -> str:
        try:
            value = column[index].as_py()
        except UnicodeDecodeError:
            return text
        return f"{text}, got {shown(value)}"

    return reason


def _rows_with(column: Any, values: Any) -> Mask:
    """Return the rows of a dictionary column whose value a mask over its dictionary marks."""
    if not pc.any(values, min_count=0).as_py():
        return np.zeros(len(column), bool)
    return mask_of(pc.take(values, column.indices))


def _or_constant(column: Any, value: str | None) -> Any:
    """Fill the nulls of a name column with one value."""
    if value is None or column.null_count == 0:
        return column
    if column.null_count == len(column):
        indices = pa.array(np.zeros(len(column), np.int32))
        return pa.DictionaryArray.from_arrays(indices, pa.array([value], pa.large_string()))
    plain = pc.fill_null(pc.cast(column, pa.large_string()), value)
    return pc.dictionary_encode(plain)


def _on_values(column: Any, change: Callable[[Any], Any]) -> Any:
    if len(column.dictionary) == 0:
        return column
    return pa.DictionaryArray.from_arrays(column.indices, change(column.dictionary))


def _as_stage(values: Any) -> Any:
    return pc.utf8_lower(pc.utf8_trim_whitespace(values))


def _named(stage: Any, step: Any) -> Any:
    """Return ``stage-step``: the name of a checkpoint that nobody named."""
    plain = pc.cast(stage, pa.large_string())
    return pc.binary_join_element_wise(
        plain, pc.cast(step, pa.large_string()), pa.scalar("-", pa.large_string())
    )
