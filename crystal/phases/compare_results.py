"""What ``crystal.compare`` answers, as types: field for field what ``crystal compare --json`` prints."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Alike = Literal["SHARED", "DIFFERENT", "UNDETERMINED"]


class Likeness(msgspec.Struct, kw_only=True):
    """How far two models' distributions of one task lie apart."""

    verdict: Alike
    reason: str | None = None
    """Why it is undetermined."""
    jsd: float | None = None
    """Jensen-Shannon divergence in bits, corrected for bias; the mean over shared families of prompts."""
    low: float | None = None
    """Its limits for more samples of these prompts, level 1 - alpha, by test inversion."""
    high: float | None = None
    null: float | None = None
    """Mean of the plug-in where both are the same: samples' model labels permuted within each family."""
    p: float | None = None
    """The same permutations: are both the same distribution? None if exact."""
    q: float | None = None
    """Benjamini-Hochberg over the tasks."""
    control: float | None = None
    """Mean plug-in JSD after the second model's options are renamed at random: alike in shape alone."""
    control_p: float | None = None
    """Share of renamings that lie as near as the true names."""
    margin: float | None = None
    """A third of the control (setting ``margins.seed_residual``): shared below, different above."""
    n: int | None = None
    """Valid samples of the smaller side; None if exact."""
    needs_samples: int | None = None
    """Valid samples of each side at which a verdict can be expected (84 % of simulated data sets)."""
    needs_reason: str | None = None
    exact: bool = False


class TaskLikeness(msgspec.Struct, kw_only=True):
    """One task that both models have."""

    tuned: Likeness
    """The behaviours after tuning."""
    seed: Likeness
    """The base distributions that the tuned behaviours are."""
    seeds: tuple[str | None, str | None]
    """The prompts whose base distributions these are."""
    kinds: tuple[str, str]
    """What the seed searches said: one, sharpened, blend, none or undetermined."""
    families: list[str]
    """Families of prompts that both were asked."""
    shared_prompts: int


class Overall(msgspec.Struct, kw_only=True):
    """All tasks together."""

    tasks: int
    """Tasks with a divergence."""
    shared: int
    different: int
    undetermined: int
    jsd: float | None = None
    """Mean of the tasks' plug-in divergences, which the tests use."""
    control: float | None = None
    """Mean of their controls."""
    p: float | None = None
    """Are the models more alike than if option names meant nothing? Exact over the tasks' renamings."""
    other_tasks: float | None = None
    """Mean JSD between different tasks with the same options; None without such tasks."""
    other_tasks_p: float | None = None
    """Are they more alike on the same task than on others? Exact over matchings of such tasks."""


class ComparedLadder(msgspec.Struct, kw_only=True):
    """One of the two ladders."""

    ladder: str
    base: str | None
    tuned: str


class Comparison(msgspec.Struct, kw_only=True):
    """The answer to :func:`crystal.compare`."""

    schema_version: str = "1.0"
    crystal_version: str
    settings: dict[str, Any]
    a: ComparedLadder
    b: ComparedLadder
    tuned: Overall
    seeds: Overall
    tasks: dict[str, TaskLikeness]
    only_a: list[str] = []
    """Tasks that only the first ladder has."""
    only_b: list[str] = []

    def to_json(self, *, indent: int = 2) -> bytes:
        """Return the comparison as JSON (UTF-8, no NaN)."""
        return msgspec.json.format(msgspec.json.encode(self), indent=indent)

    @classmethod
    def from_json(cls, data: bytes | str) -> Comparison:
        """Read a comparison; keys of a later minor version are ignored."""
        return msgspec.json.decode(data, type=cls)

    @staticmethod
    def schema() -> dict[str, Any]:
        """Return the JSON Schema of :meth:`to_json`."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$id": "urn:crystal-phases:comparison:1.0",
            "title": "crystal comparison",
            **msgspec.json.schema(Comparison),
        }
