"""Answers of a batch, each distinct text read once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from crystal.engine.grouping import Codes
from crystal.errors import InputError
from crystal.ops import threads
from crystal.ops.grouping import group
from crystal.tasks import answers
from crystal.tasks.rules import AnswerRule
from crystal.tasks.task import Task, TaskSuite

CACHE = 1 << 15
"""Distinct texts that are remembered for each (bound task, stage)."""
PIECE = 1 << 15
"""Distinct texts that one thread reads at a time."""
Bucket = tuple[str | None, str]
"""What an answer depends on beside the text: the bound task, and the stage if the rule asks for it."""


class Extractor:
    """Finds the option of each row of a batch of samples.

    Parameters
    ----------
    tasks : TaskSuite
    rule : AnswerRule
    """

    def __init__(self, tasks: TaskSuite, rule: AnswerRule) -> None:
        self.tasks, self.rule = tasks, rule
        self._known: dict[Bucket, tuple[Any, Any]] = {}

    def options(self, batch: Any) -> Any:
        """Return the option of each row, null where its answer is invalid.

        The column ``answer`` comes before ``text``, and ``text`` before ``tokens``; the option of a row that
        has only tokens is the list of their ids.

        Raises
        ------
        InputError
            If a row of a bound task has only tokens: no option can be found in them.
        """
        buckets, codes = self._buckets(batch)
        answer, text = batch.column("answer"), batch.column("text")
        if answer.null_count == len(answer) and text.null_count == 0:
            return self._read(text, buckets, codes, canonical=False)
        plain = pc.cast(answer, pa.large_string())
        given = self._read(plain, buckets, codes, canonical=True)
        read = self._read(text, buckets, codes, canonical=False)
        ids = self._tokens(batch, buckets, codes)
        chosen = pc.if_else(text.is_valid(), pc.cast(read, pa.large_string()), ids)
        return pc.if_else(answer.is_valid(), pc.cast(given, pa.large_string()), chosen)

    def listed(self, batch: Any) -> Any:
        """Return the options of exact distributions: as the bound list writes them, else as they stand."""
        option = batch.column("option")
        if not self.tasks.tasks:
            return option
        plain = pc.cast(option, pa.large_string())
        buckets, codes = self._buckets(batch)
        if not any(task is not None for task, _ in buckets):
            return option
        bound = np.array([task is not None for task, _ in buckets])[codes]
        found = pc.cast(self._read(plain, buckets, codes, canonical=True), pa.large_string())
        return pc.if_else(pa.array(bound), pc.coalesce(found, plain), plain)

    def _buckets(self, batch: Any) -> tuple[list[Bucket], Codes]:
        columns = [batch.column("task")] if self.tasks.tasks else []
        columns += [batch.column("stage")] if self.rule.by_stage else []
        if not columns:
            return [(None, "other")], np.zeros(batch.num_rows, np.int32)
        groups = group(columns)
        first = pa.array(groups.first)
        rows = zip(*(batch.column(name).take(first).to_pylist() for name in ("task", "stage")), strict=True)
        buckets: dict[Bucket, int] = {}
        places = []
        for task, stage in rows:
            bound = task if self.tasks.get(task) is not None else None
            # A bound task's options do not depend on the stage, nor does any rule but one.
            place = (bound, stage if self.rule.by_stage and bound is None else "other")
            places.append(buckets.setdefault(place, len(buckets)))
        return list(buckets), np.array(places, np.int32)[groups.codes]

    def _read(self, texts: Any, buckets: list[Bucket], codes: Codes, *, canonical: bool) -> Any:
        groups = group([texts, codes])
        distinct = pc.cast(texts.take(pa.array(groups.first)), pa.large_string())
        bucket_of = codes[groups.first]
        pieces: list[Any] = []
        order: list[npt.NDArray[np.int64]] = []
        for index, bucket in enumerate(buckets):
            mine = np.flatnonzero(bucket_of == index)
            if len(mine):
                order.append(mine)
                some = distinct if len(buckets) == 1 else distinct.take(pa.array(mine))
                task = self.tasks.get(bucket[0]) if bucket[0] is not None else None
                pieces.append(answers.canonical(some, task) if canonical else self._extract(some, bucket))
        if not pieces:
            return pa.nulls(len(texts), pa.large_string())
        found = pa.concat_arrays(pieces)
        place = np.empty(len(distinct), np.int64)
        place[np.concatenate(order)] = np.arange(len(distinct))
        short = pc.dictionary_encode(found)
        indices = short.indices.take(pa.array(place[groups.codes]))
        return pa.DictionaryArray.from_arrays(indices, short.dictionary)

    def _extract(self, texts: Any, bucket: Bucket) -> Any:
        """Extract answers from distinct texts, remembering some thousands of them between batches."""
        task = self.tasks.get(bucket[0]) if bucket[0] is not None else None
        known = self._known.get(bucket)
        if known is None:
            found = self._answers(texts, task, bucket[1])
            self._known[bucket] = (texts.slice(0, CACHE), found.slice(0, CACHE))
            return found
        places = pc.index_in(texts, value_set=known[0])
        fresh = texts.filter(places.is_null())
        if len(fresh) == 0:
            return known[1].take(places)
        found = self._answers(fresh, task, bucket[1])
        room = CACHE - len(known[0])
        every = pa.concat_arrays([known[1], found])
        missing = places.is_null().to_numpy(zero_copy_only=False)
        spots = pc.fill_null(places, 0).to_numpy(zero_copy_only=False).astype(np.int64)
        spots[missing] = len(known[1]) + np.arange(len(fresh))
        if room > 0:
            texts_kept = pa.concat_arrays([known[0], fresh.slice(0, room)])
            self._known[bucket] = (texts_kept, every.slice(0, len(texts_kept)))
        return every.take(pa.array(spots))

    def _answers(self, texts: Any, task: Task | None, stage: str) -> Any:
        """Extract piece by piece, on all threads: open questions have nearly as many texts as rows."""
        pieces = [texts.slice(start, PIECE) for start in range(0, len(texts), PIECE)]
        crew = min(threads.count(), len(pieces))

        def read(piece: Any) -> Any:
            return answers.extract(piece, self.rule, task, stage)

        if len(pieces) < 2:
            return read(texts)
        if crew < 2:
            return pa.concat_arrays([read(piece) for piece in pieces])
        with ThreadPoolExecutor(crew) as pool:
            return pa.concat_arrays(list(pool.map(read, pieces)))

    def _tokens(self, batch: Any, buckets: list[Bucket], codes: Codes) -> Any:
        tokens = batch.column("tokens")
        alone = pc.and_(
            tokens.is_valid(), pc.and_(batch.column("text").is_null(), batch.column("answer").is_null())
        )
        if not pc.any(alone, min_count=0).as_py():
            return pa.nulls(batch.num_rows, pa.large_string())
        bound = np.array([task is not None for task, _ in buckets])[codes]
        if (bound & alone.to_numpy(zero_copy_only=False)).any():
            raise InputError(
                "samples of a task with an option list have tokens alone",
                expected="text or answer",
                fix="decode the tokens, or do not bind the task (--tasks none)",
            )
        ids = pc.cast(tokens, pa.large_list(pa.large_string()))
        joined = pc.binary_join(ids, pa.scalar(" ", pa.large_string()))
        return pc.if_else(pc.equal(joined, ""), pa.scalar(None, joined.type), joined)
