"""The losses of the four kinds of training: a corpus, answers, preferences, rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from crystal.lab.corpus import conversations, documents
from crystal.lab.world import END, STOP, Floats, Ints, LabPrompt, World, draw, philox

if TYPE_CHECKING:
    from crystal.lab.model import LanguageModel
    from crystal.lab.presets import Phase, Preset

RATES = {"base": 4e-3, "sft": 1e-3, "dpo": 2e-4, "rl": 4e-4}
"""Peak learning rate of AdamW in each kind of training."""
INVALID = -1.0
_DPO_BETA, _WARM = 0.1, 30


def rate(phase: Phase, step: int, last: int) -> float:
    """Return the learning rate of a step (from 1): pretraining warms up and cools down."""
    peak = RATES[phase.kind]
    if phase.kind != "base":
        return peak
    if phase.data == "more":
        return peak / 10
    return float(peak * min(1.0, step / _WARM) * (0.05 + 0.95 * (1 - step / last)))


class Trainer:
    """What the losses of one phase need.

    Parameters
    ----------
    world : World
    preset : Preset
    phase : Phase
    chain : str
        Name of the chain of phases up to this one: the generator's key.
    rendering : str
        ``document`` or ``chat``: how prompts are put to the model from this phase on.
    reference : LanguageModel
        The model before this phase; it is not changed.
    """

    def __init__(
        self, world: World, preset: Preset, phase: Phase, chain: str, rendering: str, reference: LanguageModel
    ) -> None:
        self.world, self.preset, self.phase, self.chain = world, preset, phase, chain
        self.rendering, self.reference = rendering, reference
        self.closing = END if rendering == "chat" else STOP

    def loss(self, model: LanguageModel, step: int) -> Tensor:
        """Return the loss of one step."""
        if self.phase.kind == "base":
            text = documents(self.world, self.preset.batch, self.chain, step)
            return _cross_entropy(model, text, text.shape[1] - 1)
        if self.phase.kind == "sft":
            text = conversations(self.world, self.preset.batch, self.phase.data, self.chain, step)
            return _cross_entropy(model, text, 2)
        return self._preferences(model, step) if self.phase.kind == "dpo" else self._rewards(model, step)

    def _draw_replies(self, model: LanguageModel, count: int, group: int, step: int) -> tuple[Ints, Floats]:
        """Draw replies of two tokens to random prompts: int64 [count * group, L + 2], and their worth."""
        random = philox(self.world.seed, self.chain, step)
        trained = self.world.trained
        chosen = tuple(trained[i] for i in random.integers(len(trained), size=count))
        prompts = self.world.render(chosen, self.rendering)
        p = next_token(model, prompts)
        first = draw(np.repeat(p, group, axis=0), random.random(count * group))
        begun = np.concatenate([np.repeat(prompts, group, axis=0), first[:, None]], axis=1)
        distinct, back = np.unique(begun, axis=0, return_inverse=True)
        q = next_token(model, distinct)
        second = draw(q[back.ravel()], random.random(count * group))
        replies = np.concatenate([begun, second[:, None]], axis=1)
        return replies, self._worth(chosen, group, replies)

    def _worth(self, chosen: tuple[LabPrompt, ...], group: int, replies: Ints) -> Floats:
        worth = np.full(len(replies), INVALID)
        for i, prompt in enumerate(chosen):
            task = self.world.tasks[prompt.task]
            own = replies[i * group : (i + 1) * group]
            option = own[:, -2] - self.world.first_option[prompt.task]
            valid = (option >= 0) & (option < len(task.options)) & (own[:, -1] == self.closing)
            values = task.rewards[self.phase.data][np.clip(option, 0, len(task.options) - 1)]
            worth[i * group : (i + 1) * group] = np.where(valid, values, INVALID)
        return worth

    def _preferences(self, model: LanguageModel, step: int) -> Tensor:
        """DPO (Rafailov et al. 2023) on pairs that the reference wrote; equals are no pair."""
        replies, worth = self._draw_replies(self.reference, self.preset.batch, 2, step)
        log_p = _log_probs(model, replies, 2).sum(dim=1).view(-1, 2)
        with torch.no_grad():
            log_ref = _log_probs(self.reference, replies, 2).sum(dim=1).view(-1, 2)
        better = torch.from_numpy(np.sign(np.diff(-worth.reshape(-1, 2), axis=1)[:, 0])).float()
        gap = (log_p - log_ref) @ torch.tensor([1.0, -1.0])
        losses = -functional.logsigmoid(_DPO_BETA * better * gap) * better.abs()
        return losses.sum() / better.abs().sum().clamp(min=1.0)

    def _rewards(self, model: LanguageModel, step: int) -> Tensor:
        """GRPO (Shao et al. 2024), one update a batch of replies, with their estimate of the KL term."""
        group = self.preset.group
        replies, worth = self._draw_replies(model, self.preset.batch // 2, group, step)
        scores = torch.from_numpy(worth).float().view(-1, group)
        spread = scores.std(dim=1, keepdim=True) + 1e-2
        advantage = ((scores - scores.mean(dim=1, keepdim=True)) / spread).view(-1, 1)
        log_p = _log_probs(model, replies, 2)
        with torch.no_grad():
            behind = _log_probs(self.reference, replies, 2) - log_p.detach()
        ratio = behind + log_p.detach() - log_p
        kl = ratio.exp() - ratio - 1
        return (self.preset.kl * kl - advantage * log_p).mean()


def next_token(model: LanguageModel, tokens: Ints) -> Floats:
    """Return the distribution of the token that follows each row: float64 [n, vocabulary]."""
    with torch.no_grad():
        logits = model(torch.from_numpy(tokens))[:, -1].double()
    result: Floats = torch.softmax(logits, dim=-1).numpy()
    return result


def _log_probs(model: LanguageModel, text: Ints, last: int) -> Tensor:
    """Return the log-probability in nats of the last tokens of each row: [n, last]."""
    tokens = torch.from_numpy(text)
    logits = model(tokens[:, :-1])[:, -last:]
    log_p: Tensor = logits.log_softmax(dim=-1).gather(2, tokens[:, -last:, None])[..., 0]
    return log_p


def _cross_entropy(model: LanguageModel, text: Ints, last: int) -> Tensor:
    return -_log_probs(model, text, last).mean()
