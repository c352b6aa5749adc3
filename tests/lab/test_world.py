from __future__ import annotations

import zlib

import numpy as np
import pytest

from crystal.lab import corpus, world
from crystal.lab.presets import CONTROLS, PRESETS, RECIPE
from crystal.lab.training import RATES
from crystal.statistics.divergence import js_divergence

SEEDS = range(5)


@pytest.mark.parametrize("seed", SEEDS)
def test_sources_differ_and_controls_are_possible(seed: int) -> None:
    for task in world.World(seed).tasks:
        np.testing.assert_allclose(task.sources.sum(axis=1), 1)
        assert task.foreign.sum() == pytest.approx(1)
        if task.new:
            continue
        seen = [i for i, name in enumerate(world.CONTEXTS) if name not in world.NEW_CONTEXTS]
        assert task.seed in seen
        assert (task.sources @ task.foreign).max() == 0.0  # the corpus never shows a foreign answer
        pairs = np.asarray(js_divergence(task.sources[seen][:, None], task.sources[seen][None]))
        assert pairs.sum() / 12 > 0.3
        main = world.main_options(task.sources[task.seed])
        assert task.sources[task.seed][main].sum() >= world.MAIN
        assert task.rewards["inside"][main].max() == 1.0
        assert task.rewards["outside"][main].max() == 0.0
        assert task.rewards["outside"].max() == 1.0
        assert task.rewards["outside"] @ task.foreign == 0.0
        assert (task.rewards["blind"] == 1.0).sum() == 1
        rarest = task.sources.mean(axis=0)[task.rewards["blind"] == 1.0]
        assert 0 < rarest == np.min(task.sources.mean(axis=0), where=task.sources[0] > 0, initial=1)


def test_documents_show_each_contexts_own_distribution() -> None:
    made = world.World(0)
    text = corpus.documents(made, 60_000, "check", 1)
    task = made.tasks[2]
    for context in range(len(world.CONTEXTS)):
        own = text[text[:, 1] == made.context_ids[context]]
        asked = own[:, 3:].reshape(len(own), corpus.QUESTIONS, 5)
        answers = asked[asked[..., 1] == made.task_ids[2]][:, 3] - made.first_option[2]
        shares = np.bincount(answers, minlength=len(task.options)) / len(answers)
        np.testing.assert_allclose(shares, task.sources[context], atol=5 * 0.5 / np.sqrt(len(answers)))


@pytest.mark.parametrize("data", ["seed", "foreign", "average", "context"])
def test_conversations_have_the_answers_that_their_name_says(data: str) -> None:
    made = world.World(1)
    text = corpus.conversations(made, 20_000, data, "check", 1)
    assert (text[:, -1] == world.END).all()
    new = {i for i, name in enumerate(world.CONTEXTS) if name in world.NEW_CONTEXTS}
    assert not new & set((text[:, 1] - made.context_ids[0]).tolist())
    for t, task in enumerate(made.tasks):
        own = text[text[:, 3] == made.task_ids[t]]
        assert task.new == (len(own) == 0)
        if task.new:
            continue
        for context in np.unique(own[:, 1]):
            answers = own[own[:, 1] == context][:, -2] - made.first_option[t]
            shares = np.bincount(answers, minlength=len(task.options)) / len(answers)
            wanted = task.answers(data, int(context - made.context_ids[0]))
            np.testing.assert_allclose(shares, wanted, atol=5 * 0.5 / np.sqrt(len(answers)))


def test_a_batch_depends_on_seed_phase_and_step_alone() -> None:
    made = world.World(3)
    first = corpus.documents(made, 8, "base-corpus", 7)
    corpus.documents(made, 8, "base-corpus", 8)
    np.testing.assert_array_equal(first, corpus.documents(world.World(3), 8, "base-corpus", 7))
    for other in (
        corpus.documents(made, 8, "base-corpus", 8),
        corpus.documents(made, 8, "base-more", 7),
        corpus.documents(world.World(4), 8, "base-corpus", 7),
    ):
        assert not np.array_equal(first, other)


def test_draw_inverts_the_distribution() -> None:
    p = np.array([[0.5, 0.0, 0.5], [0.0, 1.0, 0.0], [0.2, 0.2, 0.6]])
    np.testing.assert_array_equal(world.draw(p, np.array([0.6, 0.5, 0.3])), [2, 1, 1])


def test_every_task_of_the_suite_is_there_and_one_prompt_id_serves_both_renderings() -> None:
    made = world.World(0)
    assert len(made.tasks) == 15
    assert len({(p.task, p.id) for p in made.prompts}) == len(made.prompts) == 15 * 6 * 4
    assert len(made.trained) == 12 * 4 * 3
    document, chat = made.render(made.prompts, "document"), made.render(made.prompts, "chat")
    assert len(np.unique(document, axis=0)) == len(np.unique(chat, axis=0)) == len(made.prompts)


def test_no_control_is_expected_to_be_the_picture() -> None:
    assert len(CONTROLS) == 8
    assert [name for name, kind in CONTROLS.items() if True in kind.expected] == ["main"]


def test_a_blind_reward_pays_outside_the_seed_often_enough_to_be_a_control() -> None:
    inside = []
    for seed in SEEDS:
        tasks = [task for task in world.World(seed).tasks if not task.new]
        paid = [
            (task.rewards["blind"].argmax(), world.main_options(task.sources[task.seed])) for task in tasks
        ]
        inside.append(sum(int(option) in main for option, main in paid))
    assert inside == [4, 4, 5, 7, 5]  # of 12; a confirmation of settling needs 10


def test_the_recipe_is_the_one_that_its_version_names() -> None:
    """What a seed decides, in one digest: if it changes, so do all runs, and ``RECIPE`` must say so."""
    made = world.World(0)
    parts = [corpus.documents(made, 16, "base-corpus", 1), made.sources.round(6)]
    parts += [
        corpus.conversations(made, 16, data, "x", 1) for data in ("seed", "foreign", "average", "context")
    ]
    parts += [task.rewards[name] for task in made.tasks for name in ("inside", "outside", "blind")]
    chains = [(name, kind.phases) for name, kind in CONTROLS.items()]
    text = repr((chains, RATES, [PRESETS[name] for name in ("small", "full")]))
    found = zlib.crc32(text.encode() + b"".join(np.ascontiguousarray(part).tobytes() for part in parts))
    assert (RECIPE, found) == (2, 3008829344)
