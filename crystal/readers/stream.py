"""``crystal.read``: logs of any format as one stream of the sample table's batches."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from crystal.errors import InputError, SettingsError
from crystal.readers import arrow_source, closed_set, delimited, detect, jsonl
from crystal.readers.compressed import ByteSource
from crystal.readers.distributions import Distributions
from crystal.readers.fields import FieldMap
from crystal.readers.ledger import Ledger
from crystal.readers.normalise import Normaliser
from crystal.readers.paths import CheckpointRule, LogFile, Place, discover, place_of
from crystal.readers.rejections import Judge, Rejections
from crystal.samples import Checkpoint
from crystal.tasks.loader import load
from crystal.tasks.rules import AnswerRule, parse_rule
from crystal.tasks.task import TaskSuite

_READERS = {
    "jsonl": jsonl.read,
    "csv": delimited.read,
    "tsv": lambda source, mapping, reject: delimited.read(source, mapping, reject, "\t"),
    "parquet": arrow_source.parquet,
    "arrow": arrow_source.ipc,
    "arrow-stream": arrow_source.ipc,
    "closed-set-json": closed_set.read,
}


_FIXES = (
    (
        "field 'stage' is missing",
        "place logs with checkpoints=... (--checkpoint), or map the field with mapping={...} (--map)",
    ),
    ("is missing", "map fields with mapping={...} (--map)"),
    ("a row needs one of", "map fields with mapping={...} (--map)"),
)
"""What to do about an input in which no row is valid, by a word of a reason."""


class Range(NamedTuple):
    """Rows ``start`` to ``stop`` (exclusive) of the content with a digest, and the name of its log."""

    digest: str
    start: int
    stop: int
    name: str


class SampleStream:
    """Batches of the sample table from logs; iterate it once.

    Each batch is a ``pyarrow.RecordBatch`` of :func:`crystal.samples.sample_schema` or, for rows with a
    ``probability``, of :func:`crystal.samples.distribution_schema`; ``crystal.kind`` in the metadata of its
    schema says which. The stream is itself an Arrow source (``__arrow_c_stream__``) where all rows are of one
    kind.

    Attributes
    ----------
    files : list of str
        The files, in the order they are read.
    skipped : list of str
        Files of the given folders that are no logs.
    tasks : TaskSuite
        The bound tasks.
    answer : AnswerRule
        The rule for all other tasks.
    rows, samples : int
        Rows read, and those accepted, so far; ``rows == samples + len(rejections)``.
    rejections : Rejections
        What was refused so far.
    ranges : list of Range
        What has been read completely, by content.
    checkpoints : list of Checkpoint
        The checkpoints met so far.
    bytes_read, bytes_total : int
        Progress in the files as they lie on disk (0 for objects).

    Examples
    --------
    >>> from crystal.testing import planted
    >>> stream = read(planted.ladder("frozen", tasks=1, prompts=2, options=2).samples(5))
    >>> sum(batch.num_rows for batch in stream), stream.samples, len(stream.rejections)
    (80, 80, 0)
    """

    def __init__(
        self,
        source: Any,
        format: str,  # noqa: A002  # the public name
        tasks: TaskSuite,
        answer: AnswerRule,
        judge: Judge,
        mapping: FieldMap,
        rules: Sequence[CheckpointRule],
        batch_rows: int,
    ) -> None:
        self.tasks, self.answer = tasks, answer
        self.skipped: list[str] = []
        self.ranges: list[Range] = []
        self.samples = 0
        self._judge, self._mapping, self._rules, self._format = judge, mapping, rules, format
        self._batch_rows = batch_rows
        self._ledger = Ledger()
        self._exact = Distributions(judge)
        self._extra = 0  # rejections that are no row of a batch
        self._batched = 0
        self._done_bytes = 0
        self._current: ByteSource | None = None
        self._started = False
        self._object = source if hasattr(source, "__arrow_c_stream__") else None
        self._logs: list[LogFile] = []
        if self._object is None:
            self._logs, self.skipped = discover(_as_paths(source))
            self._formats = [self._format_of(log) for log in self._logs]
        self.bytes_total = sum(log.path.stat().st_size for log in self._logs)

    @property
    def files(self) -> list[str]:
        """The files, in the order they are read."""
        return [log.name for log in self._logs] if self._object is None else ["<table>"]

    @property
    def rows(self) -> int:
        """Rows read so far."""
        return self._batched + self._extra

    @property
    def rejections(self) -> Rejections:
        """What was refused so far."""
        return self._judge.rejections

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """The checkpoints met so far."""
        return self._ledger.checkpoints

    @property
    def bytes_read(self) -> int:
        """Bytes of the files read so far."""
        if self._current is None:
            return self._done_bytes
        shown = self._current.shown
        return self._done_bytes + (self._current.position if shown is None else shown)

    def counting(self) -> SampleStream:
        """Return the stream itself, which then gives what counting needs and no more.

        Batches are as large as they come, and fields that nothing is computed from are left out; a text that
        a log keeps as a dictionary stays one.

        Raises
        ------
        SettingsError
            If the stream has been read.
        """
        if self._started:
            raise _once()
        self._mapping = msgspec.structs.replace(self._mapping, counting=True)
        return self

    def __iter__(self) -> Iterator[Any]:
        if self._started:
            raise _once()
        self._started = True
        if self._object is not None:
            yield from self._of_object()
        else:
            for log, kind in zip(self._logs, self._formats, strict=True):
                yield from self._of_file(log, kind)
        yield from self._sliced(self._exact.release())
        if self.samples == 0:
            first = self.rejections.first
            raise InputError(
                "no row of the input is valid",
                where=", ".join(self.files[:3]) + (" ..." if len(self.files) > 3 else ""),
                got=_refusals(self.rejections),
                fix=next((fix for word, fix in _FIXES if any(word in one.reason for one in first)), None),
            )

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        batches = iter(self)
        first = next(batches)  # there is one, or an InputError says why not
        reader = pa.RecordBatchReader.from_batches(first.schema, _same_kind(first, batches))
        return reader.__arrow_c_stream__(requested_schema)

    def _format_of(self, log: LogFile) -> str:
        try:
            detect.refuse_blank(log.path, log.name)
            found = detect.detect(log.path, log.name) if self._format == "auto" else self._format
        except OSError as error:
            raise InputError(f"the file cannot be read: {error.strerror}", where=log.name) from error
        return found

    def _of_file(self, log: LogFile, kind: str) -> Iterator[Any]:
        source = self._current = ByteSource(log.path)
        normaliser = self._normaliser(log.name, place_of(log, self._rules))
        extra = 0

        def reject(row: int, reason: str) -> None:
            nonlocal extra
            extra += 1
            self._extra += 1
            self._judge.reject(log.name, row, reason)

        try:
            size = log.path.stat().st_size
            for raw, rows in _READERS[kind](source, self._mapping, reject):
                yield from self._normalised(normaliser, raw, rows)
            now = log.path.stat().st_size
        except OSError as error:
            raise InputError(f"the file cannot be read: {error.strerror}", where=log.name) from error
        if now < size:
            raise InputError(
                "the file became shorter while it was read", where=log.name, expected=f"{size:,} bytes",
                got=f"{now:,}", fix="read it once nobody writes to it",
            )  # fmt: skip
        if source.damage is not None:
            reject(normaliser.read + extra + 1, source.damage)
        self._current = None
        self._done_bytes += now
        self.ranges.append(Range(_identity(source.digest, normaliser), 0, normaliser.read + extra, log.name))

    def _of_object(self) -> Iterator[Any]:
        name = "<table>"
        normaliser = self._normaliser(name, Place("samples"))
        digest = arrow_source.new_digest()

        def reject(row: int, reason: str) -> None:
            self._extra += 1
            self._judge.reject(name, row, reason)

        reader = arrow_source.stream(self._object, name)
        for raw, rows in arrow_source.objects(reader, self._mapping, reject, digest):
            yield from self._normalised(normaliser, raw, rows)
        self.ranges.append(Range(digest.hexdigest()[:32], 0, self.rows, name))

    def _normaliser(self, name: str, place: Place) -> Normaliser:
        return Normaliser(
            name, place, self._judge, self._ledger, self._exact, counting=self._mapping.counting
        )

    def _normalised(self, normaliser: Normaliser, raw: Any, rows: Any) -> Iterator[Any]:
        self._batched += len(rows)
        yield from self._sliced(normaliser.batches(raw, rows))

    def _sliced(self, batches: Iterator[Any]) -> Iterator[Any]:
        for batch in batches:
            self.samples += batch.num_rows
            rows = batch.num_rows if self._mapping.counting else self._batch_rows
            for start in range(0, batch.num_rows, rows):
                yield batch.slice(start, rows)


def read(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | Any,
    format: str = "auto",  # noqa: A002
    *,
    tasks: str | Path | TaskSuite | None = None,
    answer: str | AnswerRule = "short",
    on_error: str = "raise",
    mapping: Mapping[str, str] | None = None,
    checkpoints: Sequence[str] = (),
    batch_rows: int = 65_536,
) -> SampleStream:
    """Read logs of samples, or of exact distributions.

    Parameters
    ----------
    paths : path, sequence of paths, or object with ``__arrow_c_stream__``
        Files and folders (searched recursively), each also compressed as ``.gz`` or ``.zst``; or a table of
        pyarrow, pandas, polars, duckdb and the like.
    format : str
        ``"auto"`` (by content, then by name) or one of :data:`crystal.readers.detect.FORMATS`.
    tasks : str, path, TaskSuite or None
        Option lists to bind: see :func:`crystal.tasks.load`.
    answer : str or AnswerRule
        How an answer is found in a text of a task without an option list.
    on_error : str
        ``"raise"`` stops at the first bad row, ``"collect"`` keeps it in ``rejections`` and goes on.
    mapping : mapping of str to str, optional
        Fields of the sample table to the names (or dotted paths) that the log uses.
    checkpoints : sequence of str
        Rules ``GLOB=ladder/stage/step[/name]`` for files that do not name their checkpoint; the path is
        relative to the argument, ``*`` also matches ``/``, and the first match wins.
    batch_rows : int
        Most rows of a batch.

    Returns
    -------
    SampleStream

    Raises
    ------
    InputError
        If a path is missing or empty, a folder holds no logs, a file is not of its format, no row is valid,
        or (``on_error="raise"``) a row is bad. Bad rows are met while the stream is iterated.
    LadderError
        If one checkpoint has two names, or one name is that of two checkpoints of a ladder.
    TaskError, SettingsError
        If an argument cannot be used.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"ladder": ["demo"], "stage": ["sft"], "step": [100], "task": ["coin"],
    ...                   "prompt": ["flip"], "text": ["Heads!"]})
    >>> next(iter(read(table))).column("checkpoint").to_pylist()
    ['sft-100']
    """
    if format != "auto" and format not in _READERS:
        raise SettingsError(
            "there is no such format",
            where="format",
            expected=f"auto, {', '.join(_READERS)}",
            got=repr(format),
        )
    if on_error not in ("raise", "collect"):
        raise SettingsError(
            "unknown on_error", where="on_error", expected="raise or collect", got=repr(on_error)
        )
    if batch_rows < 1:
        raise SettingsError("batch_rows must be positive", where="batch_rows", got=str(batch_rows))
    rules = [CheckpointRule.parse(rule) for rule in checkpoints]
    return SampleStream(
        paths,
        format,
        load(tasks),
        parse_rule(answer),
        Judge(on_error),
        FieldMap.of(mapping),
        rules,
        batch_rows,
    )


def _identity(digest: str, normaliser: Normaliser) -> str:
    """Return what tells contents apart: equal files in two places are two logs where the place names them."""
    if not normaliser.placed:
        return digest
    place = json.dumps([digest, *normaliser.place], ensure_ascii=False)
    return hashlib.sha256(place.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _once() -> SettingsError:
    return SettingsError("a stream of samples can be read once", fix="call crystal.read again")


def _as_paths(source: Any) -> list[str | os.PathLike[str]]:
    paths = [source] if isinstance(source, str | os.PathLike) else source
    paths = list(paths) if isinstance(paths, Iterable) else [paths]
    for path in paths:
        if not isinstance(path, str | os.PathLike):
            raise InputError(
                "neither a path nor a table", where="crystal.read", got=type(path).__name__,
                expected="files, folders, or one object with __arrow_c_stream__",
            )  # fmt: skip
    if not paths:
        raise InputError("no paths were given", expected="files or folders")
    return paths


def _same_kind(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    for batch in rest:
        if batch.schema.metadata != first.schema.metadata:
            raise InputError(
                "the input holds samples and exact distributions, which are two tables",
                fix="read them apart, or iterate over the batches",
            )
        yield batch


def _refusals(rejections: Rejections) -> str:
    """Say why rows were refused: the first row of each reason, of a few, and how many there are."""
    first = rejections.first
    if not first:
        return "no rows"
    text = "; ".join(map(str, first))
    return text if len(first) == len(rejections) else f"{text}; {len(rejections):,} refused in all"
