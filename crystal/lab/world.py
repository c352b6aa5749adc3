"""The world that the small model reads about: tasks, contexts, wordings, and who answers what how often."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from crystal.ops.blend import fit_blend
from crystal.statistics.divergence import js_divergence
from crystal.tasks import load

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CONTEXTS = ("story", "diary", "quiz", "forum", "news", "manual")
WORDINGS = ("pick", "name", "choose", "give")
FILLERS = tuple(f"w{i:02}" for i in range(48))
SPECIAL = ("<pad>", "<doc>", "<user>", "<assistant>", "<end>", ":", "=", ".")
PAD, DOC, USER, ASSISTANT, END, COLON, EQUALS, STOP = range(len(SPECIAL))
NEW_CONTEXTS = frozenset({"news", "manual"})
NEW_WORDINGS = frozenset({"give"})
NEW_TASKS = frozenset({"coin", "rps", "card"})
"""Held out of all post-training. Two or three options say nothing about seeds, so coin and rps are here."""

MOST_OPTIONS = 12
MAIN = 0.9
"""Mass of a source's main options."""
_APART, _NO_ROW, _TRIES = 0.3, 0.4, 5_000


@dataclass(frozen=True)
class LabTask:
    """One task: its options, and distributions over them (float64, each sums to 1)."""

    id: str
    options: tuple[str, ...]
    sources: Floats
    """[6, K]: what each context answers in the corpus."""
    seed: int
    """The context whose answers SFT is on."""
    foreign: Floats
    """[K]: on options that no context shows."""
    rewards: dict[str, Floats] = field(repr=False)
    """[K] each: what an answer is worth to a reward of that name; an invalid answer is worth -1."""

    @property
    def new(self) -> bool:
        """Whether post-training never sees it."""
        return self.id in NEW_TASKS

    def answers(self, data: str, context: int) -> Floats:
        """Return the distribution of answers in SFT data of a kind, under a context: float64 [K]."""
        average = self.sources[_seen(CONTEXTS, NEW_CONTEXTS)].mean(axis=0)
        found: dict[str, Floats] = {
            "context": self.sources[context],
            "seed": self.sources[self.seed],
            "foreign": self.foreign,
            "average": average,
        }
        return found[data]


@dataclass(frozen=True)
class LabPrompt:
    """One wording of a task in a context: indices into the world's lists."""

    task: int
    context: int
    wording: int

    @property
    def id(self) -> str:
        """Its name in the sample table, the same for the document and the chat rendering."""
        return f"{CONTEXTS[self.context]}/{WORDINGS[self.wording]}"

    @property
    def family(self) -> str:
        """What post-training never saw of it."""
        if CONTEXTS[self.context] in NEW_CONTEXTS:
            return "new-context"
        return "new-wording" if WORDINGS[self.wording] in NEW_WORDINGS else "context"


class World:
    """Everything that a seed decides about the corpus; the model's own seed is the same number.

    Parameters
    ----------
    seed : int
        Seed of the run.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.tasks = tuple(_task(name, seed) for name in load("default").tasks)
        self.words = list(SPECIAL) + list(CONTEXTS) + list(WORDINGS) + list(FILLERS)
        first = len(SPECIAL)
        self.context_ids = np.arange(first, first + len(CONTEXTS))
        self.wording_ids = np.arange(first + len(CONTEXTS), first + len(CONTEXTS) + len(WORDINGS))
        self.filler_ids = np.arange(self.wording_ids[-1] + 1, len(self.words))
        self.task_ids = np.arange(len(self.words), len(self.words) + len(self.tasks))
        self.words += [f"a-{task.id}" for task in self.tasks]
        self.option_ids: list[Ints] = []
        for task in self.tasks:
            # An option is one token of its task's own: scoring it exactly takes one forward pass.
            self.option_ids.append(np.arange(len(self.words), len(self.words) + len(task.options)))
            self.words += task.options
        size = (len(self.tasks), len(CONTEXTS), MOST_OPTIONS)
        self.sources = np.zeros(size)
        for i, task in enumerate(self.tasks):
            self.sources[i, :, : len(task.options)] = task.sources
        self.first_option = np.array([ids[0] for ids in self.option_ids])
        self.prompts = tuple(
            LabPrompt(t, c, w)
            for t in range(len(self.tasks))
            for c in range(len(CONTEXTS))
            for w in range(len(WORDINGS))
        )
        self.trained = tuple(p for p in self.prompts if p.family == "context" and not self.tasks[p.task].new)

    def render(self, prompts: tuple[LabPrompt, ...], rendering: str) -> Ints:
        """Return the tokens of prompts, all of one length: int64 [n, 6] for documents, [n, 5] for chat."""
        context = self.context_ids[[p.context for p in prompts]]
        wording = self.wording_ids[[p.wording for p in prompts]]
        task = self.task_ids[[p.task for p in prompts]]
        full = [np.full(len(prompts), token) for token in range(len(SPECIAL))]
        if rendering == "chat":
            return np.stack([full[USER], context, wording, task, full[ASSISTANT]], axis=1)
        return np.stack([full[DOC], context, full[COLON], wording, task, full[EQUALS]], axis=1)


def philox(seed: int, what: str, step: int) -> np.random.Generator:
    """Return the generator of one step: it depends on nothing that ran before."""
    key = np.array([seed, zlib.crc32(what.encode())], dtype=np.uint64)
    counter = np.array([0, 0, 0, step], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def draw(p: Floats, uniform: Floats) -> Ints:
    """Draw one index from each row: p float64 [n, K], uniform float64 [n] in [0, 1)."""
    total = np.cumsum(p, axis=1)
    found: Ints = (total < (uniform * total[:, -1])[:, None]).sum(axis=1)
    return found.clip(max=p.shape[1] - 1)


def _seen(names: tuple[str, ...], new: frozenset[str]) -> list[int]:
    return [i for i, name in enumerate(names) if name not in new]


def _task(name: str, seed: int) -> LabTask:
    full = load("default").tasks[name].options
    # Long lists are trimmed to options spread over them: 15 tasks must fit into a third of a million weights.
    spread = np.linspace(0, len(full) - 1, min(MOST_OPTIONS, len(full))).round().astype(int)
    options = tuple(full[i] for i in spread)
    random = philox(seed, f"task {name}", 0)
    size = len(options)
    unseen = random.permutation(size)[: max(2, size // 4) if size > 3 else 0]
    seen = np.setdiff1d(np.arange(size), unseen)
    trained = _seen(CONTEXTS, NEW_CONTEXTS)
    chosen = int(random.choice(trained))
    for _ in range(_TRIES):
        sources = np.zeros((len(CONTEXTS), size))
        sources[:, seen] = random.dirichlet(np.full(len(seen), 0.6), size=len(CONTEXTS)) + 0.002
        sources /= sources.sum(axis=1, keepdims=True)
        if size <= 3 or _tells(sources[trained][:, seen], sources[chosen]):
            break
    foreign = np.zeros(size)
    foreign[unseen] = random.dirichlet(np.full(len(unseen), 8.0)) if len(unseen) else 0.0
    if not len(unseen):
        foreign[:] = 1 / size
    return LabTask(name, options, sources, chosen, foreign, _rewards(sources, chosen, unseen))


def _tells(sources: Floats, seed: Floats) -> bool:
    """Whether sources differ, none is most of their average, and the seed has options to settle among."""
    pairs = np.asarray(js_divergence(sources[:, None], sources[None]))
    apart = pairs[np.triu_indices(len(sources), 1)]
    average = sources.mean(axis=0)
    weights = fit_blend(average, sources, tolerance=1e-6).weights[0]
    return bool(
        apart.mean() > _APART
        and apart.min() > _APART / 3
        and weights.max() < _NO_ROW
        and len(main_options(seed)) >= 3
        and seed.max() < 0.65
    )


def main_options(p: Floats) -> Ints:
    """Return the fewest options that hold :data:`MAIN` of the mass, likeliest first: int64 [k]."""
    order = np.argsort(-p, kind="stable")
    return order[: int(np.searchsorted(np.cumsum(p[order]), MAIN)) + 1]


def _rewards(sources: Floats, chosen: int, unseen: Ints) -> dict[str, Floats]:
    size = sources.shape[1]
    main = main_options(sources[chosen])
    inside = np.full(size, -0.5)
    inside[main] = 0.0
    inside[main[1::2]] = 1.0
    outside = np.zeros(size)
    outside[np.setdiff1d(np.arange(size), main)] = 1.0
    outside[unseen] = 0.0
    blind = np.zeros(size)
    # Of what the corpus answers with, the rarest over all contexts: which of them is the seed is not asked.
    shown = np.setdiff1d(np.arange(size), unseen)
    blind[shown[sources.mean(axis=0)[shown].argmin()]] = 1.0
    return {"inside": inside, "outside": outside, "blind": blind}
