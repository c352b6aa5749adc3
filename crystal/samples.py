"""The sample table: one row a sample, and how checkpoints and prompts are named.

Two kinds of rows exist. A *sample* row is one drawn answer (:func:`sample_schema`); a *distribution* row is
the exact probability of one option, as closed-set scoring gives it (:func:`distribution_schema`).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

SCHEMA_VERSION = "1.0"
STAGES = ("base", "sft", "dpo", "rl", "other")
IDENTITY = ("ladder", "stage", "step", "checkpoint", "task", "prompt", "family")


class Checkpoint(NamedTuple):
    """One rung of a ladder: ``(ladder, stage, step)``, with its display name.

    Examples
    --------
    >>> rung = Checkpoint("mine", "sft", 1000, "sft-1000")
    >>> rung.key(), Checkpoint.from_key(rung.key()) == rung
    ('["mine","sft",1000,"sft-1000"]', True)
    """

    ladder: str
    stage: str
    step: int
    name: str

    def key(self) -> str:
        """Return the text under which states count this checkpoint."""
        return json.dumps(list(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_key(cls, key: str) -> Checkpoint:
        """Invert :meth:`key`."""
        ladder, stage, step, name = json.loads(key)
        return cls(ladder, stage, step, name)


class Prompt(NamedTuple):
    """One wording of a task, in its family (``""`` where the log names none).

    Examples
    --------
    >>> Prompt("verb", "Pick a card.").key()
    '["verb","Pick a card."]'
    """

    family: str
    prompt: str

    def key(self) -> str:
        """Return the text under which states count this prompt."""
        return json.dumps(list(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_key(cls, key: str) -> Prompt:
        """Invert :meth:`key`."""
        family, prompt = json.loads(key)
        return cls(family, prompt)


def _identity_fields() -> list[pa.Field]:
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.large_string())
    optional = {"family"}
    return [
        pa.field(field, pa.int64() if field == "step" else name, nullable=field in optional)
        for field in IDENTITY
    ]


def sample_schema() -> pa.Schema:
    """Return the Arrow schema of sample rows.

    String columns but ``text`` are ``dictionary<int32, large_string>``. One of ``text``, ``answer`` and
    ``tokens`` is not null in every row.

    Returns
    -------
    pyarrow.Schema

    Examples
    --------
    >>> sample_schema().metadata[b"crystal.kind"]
    b'samples'
    """
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.large_string())
    decoding = pa.struct(
        [
            ("temperature", pa.float64()),
            ("top_p", pa.float64()),
            ("top_k", pa.int64()),
            ("max_tokens", pa.int64()),
            ("template", pa.large_string()),
        ]
    )
    return pa.schema(
        [
            *_identity_fields(),
            pa.field("rendering", name),
            pa.field("sample", pa.int32()),
            pa.field("text", pa.large_string()),
            pa.field("answer", name),
            pa.field("tokens", pa.large_list(pa.int32())),
            pa.field("logprobs", pa.large_list(pa.float32())),
            pa.field("entropies", pa.large_list(pa.float32())),
            pa.field("score", pa.float32()),
            pa.field("decoding", decoding),
            pa.field("source", name),
        ],
        metadata={"crystal.schema_version": SCHEMA_VERSION, "crystal.kind": "samples"},
    )


def distribution_schema() -> pa.Schema:
    """Return the Arrow schema of exact-distribution rows: one option and its probability a row."""
    import pyarrow as pa

    name = pa.dictionary(pa.int32(), pa.large_string())
    return pa.schema(
        [
            *_identity_fields(),
            pa.field("option", name, nullable=False),
            pa.field("probability", pa.float64(), nullable=False),
            pa.field("source", name),
        ],
        metadata={"crystal.schema_version": SCHEMA_VERSION, "crystal.kind": "distributions"},
    )
