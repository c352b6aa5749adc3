"""A closed-set scoring in one JSON document: exact probabilities of listed candidates.

``{"pipeline": LADDER, "categories": {TASK: {"candidates": [option, ...], FRAMING: {STAGE: [p, ...]}}}}``.
Each probability becomes one distribution row: the framing is the prompt, the stages take the steps 0, 1, ...
in their order, and all framings are of the family ``verb`` - promptability then compares the framings. With
``mapping={"family": "framing"}`` (``--map family=framing``) each framing is a family of its own, so that
divergences are reported by framing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from crystal.errors import InputError
from crystal.readers.compressed import ByteSource
from crystal.readers.fields import FIELDS, REFUSED, FieldMap
from crystal.readers.jsonl import object_of
from crystal.readers.normalise import Rows

_LARGEST = 1 << 28
_NAMES = ("ladder", "stage", "step", "task", "prompt", "family", "framing", "option", "probability")


def read(
    source: ByteSource, mapping: FieldMap, _reject: Callable[[int, str], None]
) -> Iterator[tuple[dict[str, Any], Rows]]:
    """Yield the rows of a document as one batch; row numbers count its probabilities.

    Raises
    ------
    InputError
        If the file is not such a document.
    """
    name = str(source.path)
    data = bytearray()
    for chunk in source.chunks():
        data += chunk
        if len(data) > _LARGEST:
            raise InputError("a closed-set document of more than 256 MiB", where=name, fix="use JSON Lines")
    if source.damage is not None:
        raise InputError(source.damage, where=name, fix="a JSON document is needed whole")
    try:
        document = object_of(bytes(data))
    except ValueError as error:
        raise InputError(str(error), where=name) from error
    table: dict[str, list[Any]] = {column: [] for column in _NAMES}
    for row in _rows(document, name):
        for column in _NAMES:
            table[column].append(row[column])
    places = mapping.resolve(_NAMES)
    kinds = {"step": pa.int64(), "probability": pa.float64()}
    odd = [_odd(probability) for probability in table["probability"]]
    reasons = [
        f"field 'probability': expected a number, got {p!r}" if wrong else None
        for p, wrong in zip(table["probability"], odd, strict=True)
    ]
    table["probability"] = [None if wrong else p for p, wrong in zip(table["probability"], odd, strict=True)]
    raw = {
        field: pa.array(table[places[field]], kinds.get(places[field], pa.large_string()))
        for field in FIELDS
        if places[field] in table
    }
    raw[REFUSED] = pa.array(reasons, pa.large_string())
    yield raw, np.arange(1, len(table["probability"]) + 1)


def _odd(probability: Any) -> bool:
    return isinstance(probability, bool) or not isinstance(probability, int | float | None)


def _rows(document: Any, name: str) -> Iterator[dict[str, Any]]:
    categories = document.get("categories")
    if not isinstance(categories, dict):
        raise InputError("not a closed-set document", where=name, expected="an object 'categories'")
    ladder = document.get("pipeline")
    for task, category in categories.items():
        candidates = category.get("candidates") if isinstance(category, dict) else None
        if not isinstance(candidates, list) or not all(isinstance(option, str) for option in candidates):
            raise InputError("no list of candidates", where=f"{name}, category {task!r}")
        for framing, stages in category.items():
            if framing == "candidates" or not isinstance(stages, dict):
                continue
            for step, (stage, probabilities) in enumerate(stages.items()):
                if not isinstance(probabilities, list) or len(probabilities) != len(candidates):
                    raise InputError(
                        "probabilities do not fit the candidates",
                        where=f"{name}, {task}/{framing}/{stage}",
                        expected=f"{len(candidates)} numbers",
                    )
                for option, probability in zip(candidates, probabilities, strict=True):
                    cells = (
                        ladder if isinstance(ladder, str) else None,
                        stage,
                        step,
                        task,
                        framing,
                        "verb",
                        framing,
                    )
                    yield dict(zip(_NAMES, (*cells, option, probability), strict=True))
