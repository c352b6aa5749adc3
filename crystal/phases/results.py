"""The phase report as types: what ``report.json`` holds, field for field.

The JSON Schema in ``crystal/report/report.schema.json`` is generated from these classes, so that the report,
its schema and its Python form cannot drift apart. An unknown value is ``None``, never 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from crystal.phases.cluster_results import ClusterResult
from crystal.phases.seed_results import SeedResult

if TYPE_CHECKING:
    import pyarrow as pa

Phase = Literal["LIQUID", "NUCLEATED", "SETTLED", "UNDETERMINED"]
Verdict = Literal["FROZEN", "NUCLEATION", "SETTLING", "RENUCLEATION", "REMELTING", "UNDETERMINED"]
IntervalKind = Literal["samples", "exact"]

LONG_NAME = 24
"""Characters from which a checkpoint's name is too long for a line of text."""

CHECKPOINT_METRICS = (
    "entropy",
    "entropy_normalised",
    "collision",
    "top_probability",
    "promptability",
    "effective_distributions",
    "coverage",
    "validity",
)
TRANSITION_METRICS = (
    "jsd",
    "tv",
    "hellinger",
    "kl",
    "wasserstein1",
    "entropy_change",
    "promptability_change",
    "validity_change",
    "retention_change",
    "escape_term",
    "redistribution",
    "outside",
    "kendall_tau",
    "top_kept",
)
TOKEN_METRICS = ("token_entropy", "branching_factor", "surprisal", "perplexity")


class Metric(msgspec.Struct, kw_only=True):
    """One number with everything that is needed to judge it."""

    value: float | None = None
    low: float | None = None
    """Limits of what more samples of these prompts would show; level 1 - alpha."""
    high: float | None = None
    interval_kind: IntervalKind | None = None
    prompt_low: float | None = None
    """Limits for prompts that nobody asked; from 8 prompts in a family."""
    prompt_high: float | None = None
    estimator: str | None = None
    unit: str
    """``bits``, ``nats`` (of tokens), ``probability``, ``options`` (Wasserstein distance: neighbours are 1
    apart) or ``1``."""
    n: int | None = None
    """Valid samples behind the value (both checkpoints together, for a transition); None if exact."""
    prompts: int | None = None
    null: float | None = None
    """Mean of the same statistic where nothing differs."""
    p: float | None = None
    q: float | None = None
    margin: float | None = None
    """The margin that a verdict held the value against."""
    reason: str | None = None
    """Why a value or a limit is missing."""
    exact: bool = False
    """True if it comes from exact distributions, without sampling noise."""


class CheckpointResult(msgspec.Struct, kw_only=True):
    """One checkpoint on one task (all prompts, or one family)."""

    phase: Phase
    reason: str | None = None
    n: int | None
    validity: float | None
    coverage: float | None
    metrics: dict[str, Metric]


class TransitionResult(msgspec.Struct, kw_only=True):
    """Two neighbouring checkpoints on one task (all prompts, or one family)."""

    from_: str = msgspec.field(name="from")
    to: str
    verdict: Verdict
    p: float | None = None
    """The omnibus permutation test: is anything different at all?"""
    q: float | None = None
    """Benjamini-Hochberg over the tasks of this transition."""
    reason: str | None = None
    needs_samples: int | None = None
    """Valid samples a prompt (in total) at which a verdict could be expected."""
    needs_prompts: int | None = None
    needs_reason: str | None = None
    """Why neither number can be given."""
    paired: int
    """Prompts that both checkpoints have; only they are compared."""
    unpaired: int
    """Prompts left out because only one side has them."""
    by_prompt: dict[str, float] = {}
    """Jensen-Shannon divergence of each shared prompt (bits; plug-in where sampled), by its id."""
    metrics: dict[str, Metric]


class FamilyResult(msgspec.Struct, kw_only=True):
    """The same task over the prompts of one family."""

    checkpoints: dict[str, CheckpointResult]
    transitions: list[TransitionResult]
    seed: SeedResult | None = None


class TaskResult(FamilyResult, kw_only=True):
    """One task over all its prompts, and family by family."""

    families: dict[str, FamilyResult] = {}
    clusters: ClusterResult | None = None
    """Which of its distributions, one a checkpoint and prompt, are alike."""


class ClauseResult(msgspec.Struct, kw_only=True):
    """One of the three clauses of the picture, decided over the tasks."""

    holds: bool | None
    tasks_hold: int
    tasks_refuted: int
    tasks: int
    low: float | None = None
    """One-sided 95 % limits of the share of decided tasks on which it holds."""
    high: float | None = None
    reason: str | None = None
    families: dict[str, ClauseResult] = {}


class ChangePoint(msgspec.Struct, kw_only=True):
    """Where a long ladder changes."""

    at: str
    """The first checkpoint after the change."""
    low: str
    """The same for the first and last place that the data do not exclude; of a drift, all that it spans."""
    high: str
    p: float
    """Adjusted over all places and all changes of the ladder."""
    gradual: bool | None
    """A ramp over several checkpoints describes it better than a step; None where the method does not say."""


class ChangeScan(msgspec.Struct, kw_only=True):
    """How the transitions of a long ladder were sought, and whether anything changes at all."""

    method: str
    """``cuts``, or the scan of Arnold et al.: ``arnold-linear``, ``arnold-tv``, ``arnold-js``."""
    prompts: int
    """Prompts of all tasks that took part: those sampled (or scored) at every checkpoint."""
    p: float | None = None
    """Samples' checkpoint labels permuted within each prompt; None if exact."""
    order_p: float | None = None
    """The order of the checkpoints permuted; from 10 checkpoints, for ``cuts``."""
    window: int | None = None
    """Checkpoints on each side of a cut that the scan compared."""
    curve: list[float] = []
    """The scan's dissimilarity at the cut before each checkpoint but the first; plug-in."""
    null: list[float] = []
    """Its mean where nothing changes; empty if exact."""


class TokenCheckpoint(msgspec.Struct, kw_only=True):
    """The tokens of one checkpoint on all tasks, or on one."""

    sequences: int
    """Samples with at least one known value."""
    tokens: int
    """Tokens with a known value."""
    missing: int
    """Values that were no log-probability or entropy (NaN, -9999.0), over both lists; they are in no mean."""
    prompts: int
    per_input: dict[str, Metric] = {}
    """``token_entropy`` and ``surprisal`` (nats), ``branching_factor`` and ``perplexity``: of each prompt,
    then averaged over prompts."""
    across_input: dict[str, Metric] = {}
    """``token_entropy_spread`` and ``surprisal_spread`` (nats): how far the prompts' means lie apart."""


class TokenTransition(msgspec.Struct, kw_only=True):
    """What changed in the tokens between two neighbouring checkpoints, over the prompts that both have."""

    from_: str = msgspec.field(name="from")
    to: str
    paired: int
    unpaired: int
    metrics: dict[str, Metric] = {}
    """Later less earlier, with p of no change: the names of ``per_input``, each with ``_change``."""


class TokenGroup(msgspec.Struct, kw_only=True):
    """The tokens of some tasks."""

    checkpoints: dict[str, TokenCheckpoint]
    transitions: list[TokenTransition]


class TokenResult(TokenGroup, kw_only=True):
    """The tokens of a ladder: all tasks together (each prompt of each counts the same), and each alone."""

    tasks: dict[str, TokenGroup] = {}


class SequenceCheckpoint(msgspec.Struct, kw_only=True):
    """The texts of one checkpoint on all tasks, or on one."""

    samples: int
    words: int
    prompts: int
    kept: float
    """The share of the samples whose text is among those that the n-gram metrics were computed from."""
    per_input: dict[str, Metric] = {}
    """Over the samples of each prompt, then averaged over prompts."""
    across_input: dict[str, Metric] = {}
    """Over the samples of all prompts together, each with the same budget."""


class SequenceTransition(msgspec.Struct, kw_only=True):
    """What changed in the texts between two neighbouring checkpoints."""

    from_: str = msgspec.field(name="from")
    to: str
    metrics: dict[str, Metric] = {}
    """``overlap_texts`` and ``overlap_n``, with what they are where nothing differs, and the names of
    ``per_input``, each with ``_change`` (later less earlier)."""


class SequenceGroup(msgspec.Struct, kw_only=True):
    """The texts of some tasks."""

    budgets: dict[str, int]
    """What is drawn of each prompt at every checkpoint: ``texts``, n-grams by their n, ``bytes``."""
    prompts: int
    """Prompts with samples at every checkpoint that has any."""
    left_out: int
    """Prompts without."""
    checkpoints: dict[str, SequenceCheckpoint]
    transitions: list[SequenceTransition]


class SequenceResult(SequenceGroup, kw_only=True):
    """The texts of a ladder: all tasks together (each prompt of each counts the same), and each alone."""

    unit: Literal["words", "tokens", "mixed"]
    """What n-grams are made of: words between white space, or token ids where samples have no text."""
    tasks: dict[str, SequenceGroup] = {}


class LadderCheckpoint(msgspec.Struct, kw_only=True):
    """One rung, with the phase that at least half of its tasks, and most of the decided ones, are in."""

    checkpoint: str
    stage: str
    step: int
    phase: Phase


class LadderTransition(msgspec.Struct, kw_only=True):
    """One step of the ladder: how many tasks got which verdict, and the one that speaks for the step.

    That is the verdict of at least half of the tasks and of more than half of the decided ones, else
    UNDETERMINED, with the numbers as the reason.
    """

    from_: str = msgspec.field(name="from")
    to: str
    verdict: Verdict
    reason: str | None = None
    changed: int = 0
    """Tasks whose gate says that something differs: q < alpha, or for exact ones a JSD above its margin."""
    counts: dict[str, int]


class LadderResult(msgspec.Struct, kw_only=True):
    """Everything about one ladder."""

    picture_holds: bool | None
    clauses: dict[str, ClauseResult]
    evidence: list[str]
    change_points: list[ChangePoint]
    change_scan: ChangeScan | None = None
    tokens: TokenResult | None = None
    """Where samples have log-probabilities or entropies of their tokens."""
    sequences: SequenceResult | None = None
    """Where the measurement has looked at the texts themselves (``--sequences``)."""
    sensitivity: dict[str, Any] = {}
    controls: dict[str, Any] = {}
    checkpoints: list[LadderCheckpoint]
    tasks: dict[str, TaskResult]
    transitions: list[LadderTransition]

    def __repr__(self) -> str:
        says = {True: "holds", False: "does not hold", None: "is undetermined"}[self.picture_holds]
        return f"LadderResult(the picture {says}; tasks={list(self.tasks)})"

    def labels(self) -> dict[str, str]:
        """Return what to call each checkpoint in a line: its name, or stage and step where names are long."""
        rungs = self.checkpoints
        if all(len(rung.checkpoint) <= LONG_NAME for rung in rungs):
            return {rung.checkpoint: rung.checkpoint for rung in rungs}
        stages = [rung.stage for rung in rungs]
        return {
            rung.checkpoint: rung.stage if stages.count(rung.stage) == 1 else f"{rung.stage} {rung.step}"
            for rung in rungs
        }


class Inputs(msgspec.Struct, kw_only=True):
    """What was read."""

    files: list[str] = []
    samples: int = 0
    rejected: int = 0


class PhaseReport(msgspec.Struct, kw_only=True):
    """The answer to :func:`crystal.classify`: every ladder, checkpoint, transition and number.

    Its fields are those of ``report.json`` (``docs/report.md``). It is an Arrow source too: pandas, polars,
    duckdb and pyarrow take it as the table of :meth:`to_arrow`.
    """

    schema_version: str = "1.0"
    crystal_version: str
    settings: dict[str, Any]
    inputs: Inputs
    ladders: dict[str, LadderResult]

    def __repr__(self) -> str:
        return f"PhaseReport({self.inputs.samples:,} samples; ladders={self.ladders!r})"

    def to_json(self, *, indent: int = 2) -> bytes:
        """Return the report as JSON (UTF-8, keys in order, no NaN)."""
        return msgspec.json.format(msgspec.json.encode(self), indent=indent)

    @classmethod
    def from_json(cls, data: bytes | str) -> PhaseReport:
        """Read a report; keys of a later minor version are ignored."""
        return msgspec.json.decode(data, type=cls)

    def to_arrow(self) -> pa.Table:
        """Return every metric as one row (:func:`crystal.phases.metrics_table.metrics_table`)."""
        from crystal.phases.metrics_table import metrics_table

        return metrics_table(self)

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Let pandas, polars, duckdb and pyarrow take the report as a table of metrics."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)
