"""The report's sentences, numbers and glossary: one source for the terminal and the web page."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from crystal.phases.results import LadderResult, PhaseReport, TransitionResult

NONE = "—"  # stands for "unknown", which is never 0
CLAUSES = {
    "liquid": (
        "Liquid",
        "Before post-training, different prompts draw different distributions from the model.",
    ),
    "nucleation": ("Nucleation", "By the end of SFT they have collapsed onto one distribution of the base."),
    "settling": ("Settling", "After that, probability moves between its options and does not leave them."),
}

CAVEAT = (
    "These are crystal's own operationalisation of the three-phase picture of post-training (liquid, "
    "nucleation, settling); the formulae behind the paper's figures are not public. One ladder is one "
    "training run: the p-values and intervals speak of these weights only."
)

GLOSSARY = {
    "ladder": "The checkpoints of one model in training order: base, SFT, DPO and RL steps.",
    "task": "A question with many acceptable answers, such as “pick a number from 1 to 10”.",
    "prompt, family": "One wording of a task; wordings of a kind (paraphrases, personas, ...) are a family.",
    "validity": "The share of samples that answer the task at all; everything else is off-task.",
    "coverage": "The estimated share of the distribution that the samples have already shown.",
    "entropy": "Spread of the answers to one prompt in bits, averaged over the prompts.",
    "promptability": "How much the wording decides the answer: the information, in bits, between the two.",
    "effective distributions": "2 to the power of promptability: how many distributions the prompts draw.",
    "JSD": "Jensen-Shannon divergence in bits: 0 for equal distributions, 1 for ones that share no option.",
    "retention change": "Change of the mass on the options that held 0.9 of the earlier checkpoint.",
    "escape, redistribution, outside": (
        "The three parts of the JSD: mass that crosses the edge of those options, moves inside, or outside."
    ),
    "seed": "The base distribution that the tuned behaviour is, where there is one.",
    "LIQUID": "Checkpoint: its prompts draw clearly different distributions.",
    "NUCLEATED": "Checkpoint: the distributions have collapsed onto one of the base's.",
    "SETTLED": "Checkpoint: probability has moved within the options of the seed.",
    "FROZEN": "Transition: shown to be within the margin of no change.",
    "NUCLEATION": "Transition: a liquid collapses onto a seed of the base.",
    "SETTLING": "Transition: probability moves, and nothing escapes.",
    "RENUCLEATION": "Transition: mass escapes, or collapses onto something the base never showed.",
    "REMELTING": "Transition: entropy or promptability rises.",
    "UNDETERMINED": "The samples cannot tell; the reason, and what would settle it, stand beside it.",
    "p, q": "Chance of such a difference where there is none; q counts all tasks (Benjamini-Hochberg).",
    "interval": "What more samples of these prompts would show; “new prompts”: of prompts that nobody asked.",
    "null": "The mean of the same statistic where nothing differs.",
}

# C0 and C1 controls, and the marks that reorder what follows them on the screen.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def clean(text: str) -> str:
    r"""Take terminal escapes, control bytes and reordering marks out of a text from a log.

    Examples
    --------
    >>> clean("a\x1b[31mred\x1b[0m\nb")
    'ared b'
    """
    return _CONTROL.sub("", re.sub(r"\s+", " ", _ESCAPE.sub("", text)))


def number(value: float | int | None, *, digits: int = 3) -> str:
    """Write a number with some significant digits; an unknown one as a dash.

    Examples
    --------
    >>> number(0.012345), number(3.14159), number(12345.6), number(0.0), number(None)
    ('0.0123', '3.14', '12346', '0', '—')
    """
    if value is None or not math.isfinite(value):
        return NONE
    if value == 0:
        return "0"
    if isinstance(value, int):
        return str(value)
    size = math.floor(math.log10(abs(value)))
    if size < -4:
        return f"{value:.1e}"
    return f"{value:.{max(0, digits - 1 - max(size, -2))}f}"


def p_value(value: float | None) -> str:
    """Write a p- or q-value: never as 0."""
    if value is None:
        return NONE
    return "<0.0001" if value < 0.0001 else f"{value:.2g}"


def interval(low: float | None, high: float | None) -> str:
    """Write an interval; a side without a limit stays open, and nothing at all is an empty text."""
    if low is None and high is None:
        return ""
    return f"[{number(low) if low is not None else '…'}, {number(high) if high is not None else '…'}]"


ABOUT_TOKENS = (
    "Of the tokens that were drawn: mean entropy and mean negative log-probability (surprisal) in nats, and "
    "2 to the power of the former in bits (branching factor). Means are over the tokens of each prompt, then "
    "over prompts; intervals come from how sequences of one prompt vary."
)

ABOUT_SEQUENCES = {
    unit: f"Of the texts themselves, n-grams of {things}. A number of draws, the same for every prompt and "
    "checkpoint, makes them comparable: distinct-n, n-gram entropy and overlap are what is expected of so "
    "many draws of a prompt's n-grams. Repetition is within each sample. The null of an overlap is what two "
    "sets of draws from both checkpoints together would share."
    for unit, things in (
        ("words", "words between white space"),
        ("tokens", "token ids"),
        ("mixed", "words, and of token ids where a sample has no text: compare with care"),
    )
}
"""What the section about texts shows, by what n-grams are made of."""


def prompts_words(prompts: int, left_out: int) -> str:
    """Say which prompts take part."""
    text = f"{many(prompts, 'prompt')} with samples at every checkpoint"
    return text + (f"; {left_out} left out." if left_out else ".")


def spelled(name: str) -> str:
    """Turn a metric's name into words."""
    words = {"jsd": "JSD", "tv": "total variation", "kl": "KL", "wasserstein1": "Wasserstein-1"}
    return words.get(name, name.replace("_", " "))


def answer(holds: bool | None) -> str:
    """Say yes, no or undecided."""
    return {True: "yes", False: "no", None: "undecided"}[holds]


def headline(ladder: LadderResult) -> str:
    """Say in one sentence whether the picture holds for a ladder.

    True, false and unknown come from the report alone; this only words them.
    """
    by_state: dict[bool | None, list[str]] = {True: [], False: [], None: []}
    for key, clause in ladder.clauses.items():
        by_state[clause.holds].append(CLAUSES.get(key, (key, ""))[0].lower())
    if ladder.picture_holds is True:
        return "The three-phase picture holds: all three clauses are confirmed."
    if ladder.picture_holds is False:
        refuted = _are(by_state[False], "refuted")
        return "The three-phase picture does not hold" + (f": {refuted}." if refuted else ".")
    still = _are(by_state[None], "undecided")
    return "Undetermined: these data neither confirm nor refute the three-phase picture" + (
        f"; {still}." if still else "."
    )


def _are(names: list[str], state: str) -> str:
    return f"{listed(names)} {'is' if len(names) == 1 else 'are'} {state}" if names else ""


def listed(names: list[str]) -> str:
    """Join names: ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def clause_words(tasks_hold: int, tasks_refuted: int, tasks: int) -> str:
    """Say on how many tasks a clause was decided, and how."""
    if not tasks:
        return "no task could be tested"
    undecided = tasks - tasks_hold - tasks_refuted
    return f"{tasks_hold} of {tasks} tasks yes, {tasks_refuted} no, {undecided} undecided"


def counts_words(counts: dict[str, int]) -> str:
    """Write verdict counts, the most frequent first."""
    ordered = sorted((item for item in counts.items() if item[1]), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count} {verdict}" for verdict, count in ordered)


@dataclass(frozen=True)
class Missing:
    """What would settle undetermined transitions of one step: one reason, and all tasks that have it."""

    step: str
    need: str
    reason: str
    tasks: tuple[str, ...]


def missing(ladder: LadderResult) -> list[Missing]:
    """Group the undetermined transitions of a ladder by reason and kind of need, in order of the ladder."""
    label = ladder.labels()
    groups: dict[tuple[str, str, bool, int, str], list[tuple[str, TransitionResult]]] = {}
    for task, result in ladder.tasks.items():
        for t in result.transitions:
            if t.verdict == "UNDETERMINED":
                key = (
                    t.from_,
                    t.reason or "",
                    t.needs_samples is None,
                    t.needs_prompts or 0,
                    t.needs_reason or "",
                )
                groups.setdefault(key, []).append((task, t))
    order = {t.from_: i for i, t in enumerate(ladder.transitions)}
    ranked = sorted(
        groups.items(), key=lambda item: (order.get(item[0][0], len(order)), -len(item[1]), item[0])
    )
    return [
        Missing(
            step=step_words(members[0][1].from_, members[0][1].to, label),
            need=need_words([t for _, t in members]),
            reason=reason,
            tasks=tuple(task for task, _ in members),
        )
        for (_, reason, *_), members in ranked
    ]


def step_words(start: str, end: str, label: dict[str, str]) -> str:
    """Name a transition by the labels of its ends."""
    return f"{label.get(start, start)} → {label.get(end, end)}"


def need_words(transitions: Sequence[TransitionResult]) -> str:
    """Say what undetermined transitions need, as a range where they differ."""
    prompts = [t.needs_prompts for t in transitions if t.needs_prompts is not None]
    samples = [t.needs_samples for t in transitions if t.needs_samples is not None]
    needs = [
        f"{_range(numbers)} {what}"
        for numbers, what in ((prompts, "prompts"), (samples, "valid samples a prompt"))
        if numbers
    ]
    return listed(needs) or next((t.needs_reason for t in transitions if t.needs_reason), "not known")


def _range(numbers: list[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def shape_words(gradual: bool | None) -> str:
    """Say what kind of change a change point is."""
    return {True: "gradual", False: "abrupt", None: "not said by this method"}[gradual]


def scan_words(ladder: LadderResult) -> str | None:
    """Say how change points were sought and whether any were found; None where they were not sought."""
    scan = ladder.change_scan
    if scan is None:
        return None
    how = (
        "by cuts"
        if scan.method == "cuts"
        else f"by the scan of Arnold et al. ({scan.method.removeprefix('arnold-')}, window {scan.window})"
    )
    where = f"over {many(scan.prompts, 'prompt')} at {len(ladder.checkpoints)} checkpoints"
    if scan.p is None:
        return f"Sought {how} {where}; exact distributions have a curve and no test."
    found = many(len(ladder.change_points), "change point")
    return (
        f"{found[0].upper()}{found[1:]}, sought {how} {where}; that nothing changes has p {p_value(scan.p)}."
    )


def inputs_words(report: PhaseReport) -> str:
    """Say what was read and what was refused."""
    inputs = report.inputs
    read = f"{many(inputs.samples, 'sample')} from {many(len(inputs.files), 'file')}"
    return f"{read}, {many(inputs.rejected, 'record')} refused"


def many(count: int, noun: str) -> str:
    """Write a count and its noun.

    Examples
    --------
    >>> many(0, "record"), many(1, "file"), many(2830, "sample")
    ('no record', '1 file', '2,830 samples')
    """
    return f"{count:,} {noun}{'s' if count > 1 else ''}" if count else f"no {noun}"


LONG = 16
"""Checkpoints up to which a ladder is shown whole."""


def folded(ladder: LadderResult) -> list[range]:
    """Return the runs of checkpoints, as indices, that a long ladder need not show one by one.

    A run lies within one stage, its checkpoints have one phase and the steps between and around them one
    verdict, and no change point is in it; so what is said of the run is true of each. At least three are
    folded.
    """
    rungs, steps = ladder.checkpoints, ladder.transitions
    if len(rungs) <= LONG:
        return []
    marked = {point.at for point in ladder.change_points}

    def plain(i: int) -> bool:
        before, here, after = rungs[i - 1 : i + 2]
        return (
            here.checkpoint not in marked
            and before.stage == here.stage == after.stage
            and before.phase == here.phase == after.phase
            and steps[i - 1].verdict == steps[i].verdict
        )

    runs = []
    for same, group in groupby(range(1, len(rungs) - 1), key=plain):
        run = list(group)
        if same and len(run) >= 3:
            runs.append(range(run[0], run[-1] + 1))
    return runs


def folded_words(ladder: LadderResult, run: range) -> str:
    """Say which checkpoints a fold holds, and what each of them and each step to the next is."""
    label = ladder.labels()
    first, last = (label[ladder.checkpoints[i].checkpoint] for i in (run[0], run[-1]))
    phase, verdict = ladder.checkpoints[run[0]].phase, ladder.transitions[run[0]].verdict
    return f"{len(run)} checkpoints, {first} to {last}: each {phase}, each step {verdict}"
