"""``crystal.measure``: one pass over samples, into a measurement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from crystal.engine import grouping
from crystal.engine.extraction import Extractor
from crystal.errors import SettingsError, StateError
from crystal.readers.stream import SampleStream, read
from crystal.states.measurement import Measurement
from crystal.states.sections import optional_fields
from crystal.tasks.rules import AnswerRule, parse_rule
from crystal.tasks.task import TaskSuite

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and how much there is (None if unknown)."""


def measure(
    samples: Any,
    *,
    tasks: Any = None,
    answer: str | AnswerRule | None = None,
    allow_duplicates: bool = False,
    sequences: bool = False,
    progress: Progress | None = None,
    **reading: Any,
) -> Measurement:
    """Count samples, and keep exact distributions.

    Parameters
    ----------
    samples : SampleStream, path, sequence of paths, or object with ``__arrow_c_stream__``
        What :func:`crystal.read` returns, or what it takes.
    tasks, answer
        As for :func:`crystal.read`, where ``samples`` is not a stream yet.
    allow_duplicates : bool
        Count a content again that was already counted, such as two equal files.
    sequences : bool
        Keep sums over the words of the samples and some of their texts too (``Measurement.sequences``).
    progress : callable, optional
        Called after each batch with ``"reading"``, bytes read and bytes to read (rows read and None for
        objects).
    **reading
        Further arguments of :func:`crystal.read`.

    Returns
    -------
    Measurement
        With counts by (checkpoint, task, prompt, option), a null option for invalid answers, and token sums
        where samples have ``logprobs`` or ``entropies``.

    Raises
    ------
    InputError
        If the samples cannot be read, or none is valid.
    StateError
        If one content comes twice, or one (checkpoint, task, prompt) has both samples and exact values.
    SettingsError
        If a stream comes with arguments of its reading.

    Examples
    --------
    >>> import pyarrow as pa
    >>> table = pa.table({"ladder": ["demo"] * 3, "stage": ["sft"] * 3, "step": [100] * 3,
    ...                   "task": ["coin"] * 3, "prompt": ["flip"] * 3, "text": ["Heads!", "tails", "?"]})
    >>> measurement = measure(table, tasks="default")
    >>> view = measurement.table("demo", "coin")
    >>> view.options, view.counts.tolist(), view.invalid.tolist()
    (('heads', 'tails'), [[[1, 1]]], [[1]])
    """
    stream = _as_stream(samples, tasks, answer, reading)
    settings = {"answer": str(stream.answer), **({"sequences": "yes"} if sequences else {})}
    measurement = Measurement(tasks=stream.tasks.options(), settings=settings)
    fields = optional_fields(sequences=sequences)
    extractor = Extractor(stream.tasks, stream.answer)
    for batch in stream.counting():
        measurement.update(columns_of(batch, extractor, fields))
        if progress is not None:
            if stream.bytes_total:
                progress("reading", stream.bytes_read, stream.bytes_total)
            else:
                progress("reading", stream.rows, None)
    manifest = measurement.manifest
    first: dict[str, str] = {}
    for part in stream.ranges:
        if part.digest in first and part.start < part.stop and not allow_duplicates:
            raise StateError(
                f"it has the content of {first[part.digest]}, whose rows would be counted twice",
                where=part.name,
                fix="leave one of them out, or allow duplicates with allow_duplicates=True "
                "(--allow-duplicates)",
            )
        first.setdefault(part.digest, part.name)
        manifest.cover(part.digest, part.start, part.stop, allow_duplicates=allow_duplicates)
    manifest.files = sorted(set(stream.files))
    manifest.samples, manifest.rejected = stream.samples, len(stream.rejections)
    return measurement


def columns_of(batch: Any, extractor: Extractor, fields: Sequence[str] = ()) -> dict[str, Any]:
    """Return the columns under which a batch of the sample table is counted."""
    keys = {
        "checkpoint": grouping.checkpoint_keys(batch),
        "task": batch.column("task"),
        "prompt": grouping.prompt_keys(batch),
    }
    if batch.schema.metadata[b"crystal.kind"] == b"distributions":
        return {**keys, "option": extractor.listed(batch), "probability": batch.column("probability")}
    columns = {**keys, "option": extractor.options(batch)}
    decoding = batch.column("decoding")
    if decoding.null_count < len(decoding):
        columns["decoding"] = grouping.decoding_texts(decoding)
    for name in fields:
        if (column := batch.column(name)).null_count < len(column):
            columns[name] = column
    return columns


def _as_stream(
    samples: Any, tasks: str | TaskSuite | None, answer: str | AnswerRule | None, reading: dict[str, Any]
) -> SampleStream:
    if not isinstance(samples, SampleStream):
        return read(samples, tasks=tasks, answer=parse_rule(answer or "short"), **reading)
    if tasks is not None or answer is not None or reading:
        raise SettingsError(
            "the samples are a stream already, and how it is read was said when it was made",
            where="measure",
            fix="give tasks, answer and the rest to crystal.read, or give paths to crystal.measure",
        )
    return samples
