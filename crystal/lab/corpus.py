"""Batches of text, each a function of (seed, phase, step) alone, so that a resumed run reads the same."""

from __future__ import annotations

import numpy as np

from crystal.lab.world import COLON, CONTEXTS, DOC, END, EQUALS, STOP, WORDINGS, Ints, World, draw, philox

QUESTIONS = 4
LENGTH = 3 + 5 * QUESTIONS
_FILLER_SHARE = 0.15


def documents(world: World, count: int, phase: str, step: int) -> Ints:
    """Return a batch of the corpus: int64 [count, LENGTH].

    A document is of one context and asks about a few tasks; each answer is drawn from the context's own
    distribution. Some documents are filler: words of which each one calls for the next.
    """
    random = philox(world.seed, phase, step)
    text = np.empty((count, LENGTH), dtype=np.int64)
    context = random.integers(len(CONTEXTS), size=count)
    text[:, 0], text[:, 1], text[:, 2] = DOC, world.context_ids[context], COLON
    for i in range(QUESTIONS):
        task = random.integers(len(world.tasks), size=count)
        wording = random.integers(len(WORDINGS), size=count)
        answer = draw(world.sources[task, context], random.random(count))
        part = text[:, 3 + 5 * i : 8 + 5 * i]
        part[:, 0], part[:, 1], part[:, 2] = world.wording_ids[wording], world.task_ids[task], EQUALS
        part[:, 3], part[:, 4] = world.first_option[task] + answer, STOP
    filler = random.random(count) < _FILLER_SHARE
    jumps = random.integers(1, 4, size=(count, LENGTH - 3)).cumsum(axis=1)
    chain = (random.integers(len(world.filler_ids), size=(count, 1)) + jumps) % len(world.filler_ids)
    text[filler, 3:] = world.filler_ids[chain[filler]]
    return text


def conversations(world: World, count: int, data: str, phase: str, step: int) -> Ints:
    """Return a batch of SFT: int64 [count, 7], a chat prompt, its answer and the end.

    Parameters
    ----------
    data : str
        Whose answers: ``seed``, ``foreign``, ``average`` or ``context``.
    """
    random = philox(world.seed, phase, step)
    chosen = tuple(world.trained[i] for i in random.integers(len(world.trained), size=count))
    uniform = random.random(count)
    answers = np.empty((count, 2), dtype=np.int64)
    for i, prompt in enumerate(chosen):
        p = world.tasks[prompt.task].answers(data, prompt.context)
        answers[i] = world.first_option[prompt.task] + draw(p[None], uniform[i : i + 1])[0], END
    return np.concatenate([world.render(chosen, "chat"), answers], axis=1)
