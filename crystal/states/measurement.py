"""A measurement: everything that is kept of the samples, as one mergeable state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import pyarrow as pa

from crystal.atomic_write import atomic_write
from crystal.errors import CrystalError, InputError, StateError
from crystal.ops.ragged import dictionary
from crystal.samples import Checkpoint
from crystal.states import measurement_file
from crystal.states.count_table import CountTable
from crystal.states.distribution_table import DistributionTable
from crystal.states.ladders import order_ladders
from crystal.states.manifest import Manifest
from crystal.states.needed import need_measurement
from crystal.states.sections import (
    CELL,
    FIELDS,
    OPTIONAL,
    WRITTEN,
    State,
    check_names,
    merge_states,
    new_states,
    pack_states,
    unpack_states,
)
from crystal.states.sequence_sample import SequenceSample
from crystal.states.tables import TaskTable
from crystal.states.task_options import TaskOptions
from crystal.states.token_sums import TokenSums
from crystal.states.views import Grouped, task_table

Cell = tuple[str, str, str]


def _state_named(name: str) -> Any:
    """Return the property by which a measurement shows one of its states."""
    return property(lambda self: self._states[name])


class _Configuration(msgspec.Struct):
    tasks: dict[str, TaskOptions] = {}
    settings: dict[str, str] = {}


class Measurement:
    """Counts, exact distributions, decoding settings and token sums of any number of ladders.

    Parameters
    ----------
    tasks : mapping of str to TaskOptions, optional
        The bound tasks. Part of the configuration: it must agree on merge.
    settings : mapping of str to str, optional
        What else decides how samples are counted (the answer rule). Part of the configuration too.

    Attributes
    ----------
    counts : CountTable
        (checkpoint, task, prompt, option) to samples; a null option is an invalid answer.
    exact : DistributionTable
        The same key to an exact probability. A cell (checkpoint, task, prompt) has counts or exact values.
    decodings : CountTable
        (checkpoint, task, decoding) to samples, where the decoding settings are known.
    tokens : TokenSums
        (checkpoint, task, prompt) to sums over tokens, where log-probabilities or entropies are known.
    sequences : SequenceSample
        (checkpoint, task, prompt) to sums over words and some of the texts, where they were asked for.
    manifest : Manifest
        Which rows of which contents were counted, the inputs, and how many rows were accepted and refused.

    Notes
    -----
    Checkpoints and prompts are keyed by :meth:`crystal.samples.Checkpoint.key` and
    :meth:`crystal.samples.Prompt.key`. Add rows by :meth:`update`; the tables are there to be read.

    Examples
    --------
    >>> from crystal.samples import Checkpoint, Prompt
    >>> base, flip = Checkpoint("toy", "base", 0, "toy-base"), Prompt("", "Flip a coin.")
    >>> measurement = Measurement()
    >>> measurement.update({
    ...     "checkpoint": [base.key()] * 3, "task": ["coin"] * 3, "prompt": [flip.key()] * 3,
    ...     "option": ["heads", "tails", "heads"],
    ... })
    >>> table = measurement.table("toy", "coin")
    >>> table.options, table.counts.tolist()
    (('heads', 'tails'), [[[2, 1]]])
    """

    def __init__(
        self, tasks: Mapping[str, TaskOptions] | None = None, settings: Mapping[str, str] | None = None
    ) -> None:
        self.tasks = dict(tasks or {})
        self.settings = dict(settings or {})
        self._states = new_states()
        self.manifest = Manifest()
        self._grouped: dict[str, tuple[pa.Table, Grouped]] = {}
        self._cells: dict[str, tuple[pa.Table, set[Cell]]] = {}

    counts: CountTable = _state_named("counts")
    exact: DistributionTable = _state_named("exact")
    decodings: CountTable = _state_named("decodings")
    tokens: TokenSums = _state_named("tokens")
    sequences: SequenceSample = _state_named("sequences")

    @property
    def nbytes(self) -> int:
        """Heap bytes held by the states."""
        return sum(state.nbytes for state in self._states.values())

    def __bool__(self) -> bool:
        return bool(self.counts) or bool(self.exact)

    @property
    def inputs(self) -> Manifest:
        """The manifest, for who asks for ``files``, ``samples`` and ``rejected`` alone."""
        return self.manifest

    def empty(self) -> Self:
        """Return an empty measurement of the same configuration."""
        return type(self)(self.tasks, self.settings)

    def update(self, columns: Mapping[str, Any]) -> None:
        """Add a batch of rows; nothing changes if it is refused.

        Parameters
        ----------
        columns : mapping of str to column
            String columns ``checkpoint``, ``task``, ``prompt`` (keys, never null) and ``option`` (null:
            invalid). With ``probability`` (float64 in [0, 1]) the rows are exact distributions; else they are
            samples, where ``count`` (int64) may say how often each was seen, ``decoding`` (string, null where
            unknown) how it was drawn, and ``logprobs`` and ``entropies`` (lists of float32, nats, null where
            unknown) what its tokens were given, ``text`` (string) and ``tokens`` (lists of integers) what it
            says; ``count`` and those columns do not go together.

        Raises
        ------
        InputError
            If a column holds no strings.
        StateError
            If a column is missing, unknown or null, a value is out of range, an exact probability differs
            from the one that is known, or a cell would have both counts and exact values (it is named).
        """
        exact = "probability" in columns
        fields = [name for name in FIELDS if name in columns]
        extra = {"probability"} if exact else {"decoding", *(fields or ["count"])}
        names = (*CELL, "option")
        if not {*names} <= {*columns} <= {*names, *extra}:
            raise StateError(
                "the batch has other columns",
                where="update",
                expected=", ".join([*names, *sorted(extra)]),
                got=", ".join(columns),
            )
        texts = {
            name: dictionary(column)
            for name, column in columns.items()
            if name not in ("count", "probability", *FIELDS)
        }
        for name in CELL:
            if (texts[name][0] < 0).any():
                raise StateError("a key is null", where=f"column {name}", expected="a text in every row")
        if len({len(indices) for indices, _ in texts.values()}) > 1:
            raise StateError("the columns differ in length", where="update")
        if self.counts if exact else self.exact:
            batch = CountTable(CELL)
            batch.update({name: texts[name] for name in CELL})
            self._refuse_both(_cells(batch.result()), self._cells_of("counts" if exact else "exact"))
        keys = {name: texts[name] for name in names}
        if exact:
            self.exact.update(keys, columns["probability"])
            return
        batches = self._optional_batches({name: texts[name] for name in CELL}, columns)
        self.counts.update(keys, columns.get("count"))
        for name, filled in batches.items():
            self._states[name].merge(filled)
        if "decoding" in texts:
            self._update_decodings(texts, columns.get("count"))

    def merge(self, other: Measurement, *, allow_duplicates: bool = False) -> None:
        """Add all of another measurement, which stays as it is.

        Parameters
        ----------
        other : Measurement
        allow_duplicates : bool
            Count rows again that both have counted.

        Raises
        ------
        StateError
            If the configurations differ (both values are named), rows were counted by both (unless
            `allow_duplicates`), an exact probability differs, or a cell would have both counts and exact
            values. Nothing has changed then.
        SettingsError
            If `other` is no measurement.
        """
        need_measurement(other, "merge")
        self._check_configuration(other)
        if not allow_duplicates:
            self.manifest.check(other.manifest)
        if self.exact and other.counts:
            self._refuse_both(self._cells_of("exact"), other._cells_of("counts"))
        if self.counts and other.exact:
            self._refuse_both(self._cells_of("counts"), other._cells_of("exact"))
        merge_states(self._states, other._states)
        self.manifest.merge(other.manifest, allow_duplicates=True)

    def result(self) -> dict[str, Any]:
        """Return the rows of each state in canonical order."""
        return {name: self._states[name].result() for name in WRITTEN}

    def ladders(self, order: Sequence[str] = ()) -> dict[str, tuple[Checkpoint, ...]]:
        """Return the checkpoints of each ladder in training order.

        Parameters and errors are those of :func:`crystal.states.ladders.order_ladders`.
        """
        rungs = [*self._group("counts").checkpoints, *self._group("exact").checkpoints]
        return order_ladders(rungs, order)

    def ladder_names(self) -> tuple[str, ...]:
        """Return the ladders, sorted, whether or not their checkpoints can be put in order."""
        groups = (self._group("counts"), self._group("exact"))
        return tuple(sorted({rung.ladder for group in groups for rung in group.checkpoints}))

    def task_names(self, ladder: str) -> tuple[str, ...]:
        """Return the tasks of a ladder, sorted."""
        return tuple(sorted(self._group("counts").names(ladder) | self._group("exact").names(ladder)))

    def table(self, ladder: str, task: str, order: Sequence[str] = ()) -> TaskTable:
        """Return the dense table of one task of one ladder.

        Options are the bound list (then answers outside it count as invalid), or those that were scored where
        nothing else was answered (sorted by text), or those that were seen (by total count, then text).

        Raises
        ------
        LadderError
            If the checkpoints cannot be put in order.
        StateError
            If the ladder or the task is unknown.
        """
        ladders = self.ladders(order)
        if ladder not in ladders:
            raise StateError("no such ladder", where=repr(ladder), expected=", ".join(ladders))
        groups = [self._group(name) for name in ("counts", "exact", "decodings")]
        if not any(task in group.names(ladder) for group in groups[:2]):
            raise StateError("the ladder has no such task", where=f"ladder {ladder!r}", got=repr(task))
        return task_table(groups, ladders[ladder], task, self.tasks.get(task))

    def to_bytes(self) -> bytes:
        """Return the canonical bytes: equal measurements (manifest included) have equal bytes."""
        return measurement_file.pack({**self._sections(), "manifest": self._manifest()})

    def digest(self) -> str:
        """Return the digest of the states alone, in hex: what "the same bytes" means, whatever the shards."""
        return measurement_file.digest(*self._sections().values()).hex()

    @classmethod
    def from_bytes(cls, data: bytes, *, where: str = "measurement") -> Self:
        """Read what :meth:`to_bytes` wrote.

        Raises
        ------
        StateError
            If the bytes are truncated, damaged, of another version, hold a section that this crystal does not
            know, or break a rule of the states.
        """
        version, sections = measurement_file.unpack(data, where=where)
        check_names(sections, version, where)
        try:
            configuration = msgspec.json.decode(sections["configuration"], type=_Configuration)
            manifest = msgspec.json.decode(sections["manifest"], type=Manifest)
            manifest.check_form()
            self = cls(configuration.tasks, configuration.settings)
            self._states = unpack_states(sections)
        except (CrystalError, msgspec.MsgspecError, RecursionError, ValueError) as error:
            raise StateError(f"the measurement cannot be read: {error}", where=where) from error
        self.manifest = manifest
        if self.counts and self.exact:
            self._refuse_both(self._cells_of("counts"), self._cells_of("exact"))
        written = {**self._sections(), "manifest": self._manifest()}
        if measurement_file.pack(written, version=version) != data:
            raise StateError("the measurement is not in canonical form", where=where)
        return self

    def save(self, path: str | Path) -> None:
        """Write the measurement to a file, whole or not at all."""
        atomic_write(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a measurement file.

        Raises
        ------
        InputError
            If the file cannot be read.
        StateError
            If it is damaged or no measurement.
        """
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(f"the measurement cannot be read: {reason}", where=str(path)) from error
        return cls.from_bytes(data, where=str(path))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Measurement) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # states change

    def __repr__(self) -> str:
        return (
            f"Measurement: {len(self.counts)} counted and {len(self.exact)} exact rows, {self.nbytes} bytes"
        )

    def _sections(self) -> dict[str, bytes]:
        configuration = msgspec.json.encode(_Configuration(self.tasks, self.settings), order="sorted")
        return {"configuration": configuration, **pack_states(self._states)}

    def _manifest(self) -> bytes:
        return msgspec.json.encode(self.manifest, order="sorted")

    def _group(self, name: str) -> Grouped:
        rows = self._states[name].result()
        held = self._grouped.get(name)
        if held is None or held[0] is not rows:
            held = self._grouped[name] = (rows, Grouped(rows))
        return held[1]

    def _cells_of(self, name: str) -> set[Cell]:
        rows = self._states[name].result()
        held = self._cells.get(name)
        if held is None or held[0] is not rows:
            held = self._cells[name] = (rows, _cells(rows))
        return held[1]

    def _optional_batches(self, cell: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, State]:
        """Return what a batch adds to optional states, checked, so that merging it cannot fail."""
        batches: dict[str, State] = {}
        for name, section in OPTIONAL.items():
            given = {field: columns[field] for field in section.fields if field in columns}
            if given:
                batch = section.make()
                batch.update(cell, **given)
                self._states[name].check(batch)
                batches[name] = batch
        return batches

    def _update_decodings(self, texts: Mapping[str, Any], counts: Any) -> None:
        indices, ragged = texts["decoding"]
        known = indices >= 0
        columns = {name: (texts[name][0][known], texts[name][1]) for name in ("checkpoint", "task")}
        values = None if counts is None else np.asarray(counts)[known]
        self.decodings.update({**columns, "decoding": (indices[known], ragged)}, values)

    def _check_configuration(self, other: Measurement) -> None:
        for kind in ("tasks", "settings"):
            mine, theirs = getattr(self, kind), getattr(other, kind)
            for name in sorted({*mine, *theirs}):
                if mine.get(name) != theirs.get(name):
                    raise StateError(
                        "the measurements have different configurations",
                        where=f"merge, {kind}[{name!r}]",
                        expected=repr(mine.get(name)),
                        got=repr(theirs.get(name)),
                    )

    def _refuse_both(self, one: set[Cell], other: set[Cell]) -> None:
        for checkpoint, task, prompt in sorted(one & other)[:1]:
            raise StateError(
                "a cell has both samples and exact probabilities",
                where=f"checkpoint {checkpoint}, task {task}, prompt {prompt}",
                expected="one of the two",
            )


def _cells(rows: pa.Table) -> set[Cell]:
    columns = [rows[name].combine_chunks() for name in CELL]
    index = np.stack([column.indices.to_numpy(zero_copy_only=False) for column in columns])
    texts = [column.dictionary.to_pylist() for column in columns]
    return {
        tuple(text[i] for text, i in zip(texts, cell, strict=True))
        for cell in np.unique(index, axis=1).T.tolist()
    }
