from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from crystal.lab.presets import PRESETS, Phase
from crystal.lab.run import Run
from crystal.lab.training import RATES, Trainer, next_token, rate


def trainer(kind: str, data: str) -> tuple[Run, Trainer]:
    run = Run(Path("unused"), "main", "tiny", 0)
    phase = Phase(kind, data)
    return run, Trainer(run.world, run.preset, phase, "check", "chat", run.model())


def test_the_model_looks_back_only_and_is_the_same_for_a_seed() -> None:
    run = Run(Path("unused"), "main", "tiny", 0)
    model, again = run.model(), run.model()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    tokens = torch.arange(8)[None]
    changed = tokens.clone()
    changed[0, -1] = 40
    with torch.no_grad():
        torch.testing.assert_close(model(tokens)[:, :-1], model(changed)[:, :-1])
        assert not torch.allclose(model(tokens)[:, -1], model(changed)[:, -1])


def test_small_has_a_third_of_a_million_weights_and_full_a_million() -> None:
    assert 0.33e6 < Run(Path("unused"), "main", "small", 0).model().size < 0.39e6
    assert 0.9e6 < Run(Path("unused"), "main", "full", 0).model().size < 1.15e6
    assert set(PRESETS) == {"tiny", "small", "full"}


def test_preferences_start_at_log_two() -> None:
    run, own = trainer("dpo", "inside")
    loss = float(own.loss(run.model(), 1).detach())
    # An untrained model's replies are all invalid alike, which is no pair at all; else each costs log 2.
    assert loss == pytest.approx(math.log(2), abs=1e-6) or loss == 0.0


def test_rewards_push_worthy_answers_up() -> None:
    run, own = trainer("rl", "blind")
    model = run.model()
    task = run.world.tasks[run.world.trained[0].task]
    paid = int(run.world.first_option[run.world.trained[0].task] + task.rewards["blind"].argmax())
    chosen = run.world.trained[:1]
    prompts = run.world.render(chosen, "chat")
    tokens = np.concatenate([prompts, [[paid, 4]]], axis=1)
    worth = own._worth(
        chosen, 3, np.concatenate([tokens, tokens, tokens]) - [[0] * 7, [0] * 6 + [1], [0] * 5 + [paid, 0]]
    )
    np.testing.assert_array_equal(worth, [1.0, -1.0, -1.0])
    assert next_token(model, prompts).sum() == pytest.approx(1)


def test_rates() -> None:
    base = Phase("base", "corpus")
    assert rate(base, 1, 500) < rate(base, 30, 500) > rate(base, 500, 500) > 0
    assert rate(Phase("sft", "seed"), 1, 60) == RATES["sft"]
