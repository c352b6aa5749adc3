"""Reports made by hand: every state that a real one can be in, without running an analysis."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from crystal.phases.results import (
    CHECKPOINT_METRICS,
    TOKEN_METRICS,
    TRANSITION_METRICS,
    ChangePoint,
    CheckpointResult,
    ClauseResult,
    FamilyResult,
    Inputs,
    LadderCheckpoint,
    LadderResult,
    LadderTransition,
    Metric,
    PhaseReport,
    TaskResult,
    TokenCheckpoint,
    TokenGroup,
    TokenResult,
    TokenTransition,
    TransitionResult,
)
from crystal.phases.seed_results import SeedResult

RUNGS = (("base", "base", 0), ("sft", "sft", 1), ("dpo", "dpo", 2), ("rl", "rl", 3))
UNITS = {
    "entropy": "bits", "promptability": "bits", "jsd": "bits", "kl": "bits", "entropy_change": "bits",
    "promptability_change": "bits", "escape_term": "bits", "redistribution": "bits", "outside": "bits",
    "collision": "probability", "top_probability": "probability", "validity": "probability",
    "coverage": "probability", "tv": "probability", "retention_change": "probability",
    "validity_change": "probability", "wasserstein1": "options",
}  # fmt: skip


def make_metric(name: str, rng: random.Random, *, unknown: bool = False) -> Metric:
    if unknown:
        return Metric(
            unit=UNITS.get(name, "1"), n=20, prompts=1, reason="one prompt: promptability is unknown"
        )
    signed = name.endswith("_change") or name == "kendall_tau"
    value = rng.uniform(-0.6, 0.6) if signed else rng.uniform(0.0, 1.0)
    return Metric(
        value=value,
        low=value - 0.1,
        high=value + 0.15,
        interval_kind="samples",
        prompt_low=value - 0.2,
        prompt_high=value + 0.2,
        estimator="plugin",
        unit=UNITS.get(name, "1"),
        n=480,
        prompts=8,
        null=0.02 if name in ("jsd", "promptability") else None,
        p=0.0001 if name == "jsd" else None,
        q=0.0004 if name == "jsd" else None,
        margin=0.05 if name == "promptability_change" else None,
    )


def make_family(rng: random.Random, phases: list[str], verdicts: list[str], *, short: bool) -> FamilyResult:
    unknown = {"promptability", "effective_distributions", "promptability_change"} if short else set()
    checkpoints = {
        name: CheckpointResult(
            phase=phase,  # type: ignore[arg-type]
            reason="one prompt a task" if short else None,
            n=480,
            validity=0.97,
            coverage=0.99,
            metrics={m: make_metric(m, rng, unknown=m in unknown) for m in CHECKPOINT_METRICS},
        )
        for (name, _, _), phase in zip(RUNGS, phases, strict=True)
    }
    transitions = [
        TransitionResult(
            from_=RUNGS[i][0],
            to=RUNGS[i + 1][0],
            verdict=verdict,  # type: ignore[arg-type]
            p=0.0001 if verdict != "UNDETERMINED" else 0.3,
            q=0.0004 if verdict != "UNDETERMINED" else 0.6,
            reason="promptability needs a second prompt" if verdict == "UNDETERMINED" else None,
            needs_prompts=2 if short else None,
            needs_samples=310 if verdict == "UNDETERMINED" and not short else None,
            paired=1 if short else 8,
            unpaired=0,
            metrics={m: make_metric(m, rng, unknown=m in unknown) for m in TRANSITION_METRICS},
        )
        for i, verdict in enumerate(verdicts)
    ]
    seed = SeedResult(
        kind="undetermined" if short else "one",
        found=None if short else True,
        base="base",
        tuned="sft",
        prompt=None if short else "name a number",
        alike=[] if short else ["say a number"],
        weights={} if short else {"name a number": 0.81, "think of a number": 0.19},
        max_weight=None if short else 0.81,
        max_weight_low=None if short else 0.66,
        residual=None if short else 0.012,
        residual_share=None if short else 0.08,
        alpha=None if short else 1.9,
        alpha_low=None if short else 1.6,
        alpha_high=None if short else 2.3,
        match=None if short else 0.84,
        p=None if short else 0.4,
        reason="one prompt: there is nothing to choose from" if short else None,
    )
    return FamilyResult(checkpoints=checkpoints, transitions=transitions, seed=seed)


def make_report(
    *,
    ladders: tuple[str, ...] = ("olmo",),
    tasks: tuple[str, ...] = ("coin", "num10", "weekday"),
    families: tuple[str, ...] = ("paraphrase", "verb"),
    picture: bool | None = True,
    rejected: int = 0,
    seed: int = 0,
) -> PhaseReport:
    """Build a report of a ladder that crystallises (picture true), does not, or is too short to tell."""
    rng = random.Random(seed)  # noqa: S311 - numbers to look at, not secrets
    short = picture is None
    phases = ["UNDETERMINED"] * 4 if short else ["LIQUID", "NUCLEATED", "SETTLED", "SETTLED"]
    verdicts = ["UNDETERMINED"] * 3 if short else ["NUCLEATION", "SETTLING", "FROZEN"]
    if picture is False:
        phases, verdicts = ["LIQUID", "LIQUID", "LIQUID", "LIQUID"], ["RENUCLEATION", "REMELTING", "SETTLING"]
    results: dict[str, LadderResult] = {}
    for ladder in ladders:
        task_results = {}
        for task in tasks:
            whole = make_family(rng, phases, verdicts, short=short)
            task_results[task] = TaskResult(
                checkpoints=whole.checkpoints,
                transitions=whole.transitions,
                seed=whole.seed,
                families={f: make_family(rng, phases, verdicts, short=short) for f in families},
            )
        decided = 0 if short else len(tasks)
        clause = ClauseResult(
            holds=picture,
            tasks_hold=decided if picture else 0,
            tasks_refuted=decided if picture is False else 0,
            tasks=len(tasks),
            low=None if short else 0.61,
            high=None if short else 1.0,
            reason="no task is decided: each has one prompt" if short else None,
        )
        results[ladder] = LadderResult(
            picture_holds=picture,
            clauses={"liquid": clause, "nucleation": clause, "settling": clause},
            evidence=["base to sft: 2 of 3 tasks differ at q < 0.05.", "One ladder is one training run."],
            change_points=[ChangePoint(at="sft", low="base", high="sft", p=0.001, gradual=False)],
            sensitivity={"margins_halved": {"changed": 1, "of": 9, "verdicts": {"FROZEN": 4, "SETTLING": 5}}},
            controls={"split_half": {"checkpoint": "base", "tasks": 3, "rejected": 0}},
            checkpoints=[
                LadderCheckpoint(checkpoint=name, stage=stage, step=step, phase=phase)  # type: ignore[arg-type]
                for (name, stage, step), phase in zip(RUNGS, phases, strict=True)
            ],
            tasks=task_results,
            transitions=[
                LadderTransition(
                    from_=RUNGS[i][0],
                    to=RUNGS[i + 1][0],
                    verdict=verdict,  # type: ignore[arg-type]
                    reason="one prompt a task" if short else None,
                    changed=0 if short else len(tasks),
                    counts={verdict: len(tasks)},
                )
                for i, verdict in enumerate(verdicts)
            ],
        )
    return PhaseReport(
        crystal_version="0.1.0",
        settings={"alpha": 0.05, "seed": 0, "draws": 19999, "margins": {"liquid": 0.1, "jsd": 0.01}},
        inputs=Inputs(files=["samples.jsonl"], samples=2830, rejected=rejected),
        ladders=results,
    )


@pytest.fixture(scope="session", name="make_report")
def make_report_fixture() -> Callable[..., PhaseReport]:
    return make_report


def make_tokens() -> TokenResult:
    """Make token results of one task, with a number that is unknown."""
    rng = random.Random(5)  # noqa: S311 - numbers to look at, not secrets

    def metric(name: str) -> Metric:
        made = make_metric(name, rng)
        made.unit = "nats" if "entropy" in name or "surprisal" in name else "1"
        return made

    def group() -> TokenGroup:
        checkpoints = {
            name: TokenCheckpoint(
                sequences=240,
                tokens=1777,
                missing=3,
                prompts=8,
                per_input={name: metric(name) for name in TOKEN_METRICS},
                across_input={"token_entropy_spread": metric("token_entropy_spread")},
            )
            for name, _, _ in RUNGS
        }
        transitions = [
            TokenTransition(
                from_=RUNGS[i][0],
                to=RUNGS[i + 1][0],
                paired=8,
                unpaired=1,
                metrics={
                    "token_entropy_change": metric("token_entropy_change"),
                    "surprisal_change": Metric(unit="nats", reason="no prompt has logprobs on both sides"),
                },
            )
            for i in range(len(RUNGS) - 1)
        ]
        return TokenGroup(checkpoints=checkpoints, transitions=transitions)

    whole = group()
    tasks = {"coin": group(), "<script>": group()}
    return TokenResult(checkpoints=whole.checkpoints, transitions=whole.transitions, tasks=tasks)


@pytest.fixture(scope="session", name="make_tokens")
def make_tokens_fixture() -> Callable[..., TokenResult]:
    return make_tokens
