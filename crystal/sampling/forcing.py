"""Teacher forcing: the log-probability and the entropy of each token of given replies, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from crystal.ops.tokens import token_stats
from crystal.sampling.models import Model, need
from crystal.sampling.rendering import Tokens

Floats = npt.NDArray[np.float32]
LOGIT_BYTES = 1 << 26
"""Logits are made and read in blocks of at most so many bytes."""
_PROBE = 16


class Forcing:
    """Reads replies under one model.

    Parameters
    ----------
    model : Model
    batch_tokens : int
        Most positions, padding included, that go through the network at once (a longer sample goes alone).
    temperature : float
        Divides the logits.

    Notes
    -----
    The network's last hidden states go through its output layer only where a reply's token is predicted, and
    block by block, so logits of a whole batch never exist. Some models do more behind that layer (scale or
    cap their logits); a comparison at the start finds them, and they go one sample at a time through all of
    the model.
    """

    def __init__(self, model: Model, batch_tokens: int, temperature: float) -> None:
        (self._torch,) = need("torch")
        self.model, self.batch_tokens, self.temperature = model, batch_tokens, temperature
        self._head = model.network.get_output_embeddings()
        self._device = self._head.weight.device
        self._in_blocks: bool | None = None

    def score(self, samples: Sequence[Tokens]) -> list[tuple[Floats, Floats]]:
        """Return log-probabilities and entropies (nats) of each reply's tokens.

        Parameters
        ----------
        samples : sequence of Tokens
            Each with at least one token of context and one of reply.
        """
        results: list[tuple[Floats, Floats]] = [(np.zeros(0, np.float32),) * 2] * len(samples)
        with self._torch.inference_mode():
            if self._in_blocks is None and samples:
                self._in_blocks = self._probe(samples[0])
            for batch in self._batches(samples):
                for index, result in zip(batch, self._batch([samples[i] for i in batch]), strict=True):
                    results[index] = result
        return results

    def _batches(self, samples: Sequence[Tokens]) -> Iterator[list[int]]:
        """Deal samples of like length together, the longest first: what does not fit fails at once."""
        sizes = [len(sample.context) + len(sample.reply) for sample in samples]
        order = sorted(range(len(samples)), key=lambda i: (-sizes[i], i))
        batch: list[int] = []
        for i in order:
            if (batch and (len(batch) + 1) * sizes[batch[0]] > self.batch_tokens) or (
                batch and not self._in_blocks
            ):
                yield batch
                batch = []
            batch.append(i)
        if batch:
            yield batch

    def _batch(self, samples: Sequence[Tokens]) -> list[tuple[Floats, Floats]]:
        torch = self._torch
        # The last token is only predicted, never read.
        rows = [(sample.context + sample.reply)[:-1] for sample in samples]
        longest = max(map(len, rows))
        ids = torch.zeros((len(rows), longest), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        wanted = torch.zeros(ids.shape, dtype=torch.bool)
        for i, (row, sample) in enumerate(zip(rows, samples, strict=True)):
            ids[i, : len(row)] = torch.tensor(row)
            mask[i, : len(row)] = 1
            wanted[i, len(sample.context) - 1 : len(row)] = True
        ids, mask, wanted = (tensor.to(self._device) for tensor in (ids, mask, wanted))
        targets = torch.tensor([token for sample in samples for token in sample.reply], device=self._device)
        if self._in_blocks:
            states = self.model.network.base_model(input_ids=ids, attention_mask=mask, use_cache=False)
            found = self._of_states(states[0][wanted], targets)
        else:
            logits = self.model.network(input_ids=ids, attention_mask=mask, use_cache=False).logits
            found = self._of_logits(logits[wanted], targets)
        ends = np.cumsum([len(sample.reply) for sample in samples])[:-1]
        return list(zip(*(np.split(values, ends) for values in found), strict=True))

    def _of_states(self, states: Any, targets: Any) -> tuple[Floats, Floats]:
        rows = max(1, LOGIT_BYTES // (self.model.vocabulary * states.element_size()))
        parts = [
            self._of_logits(self._head(states[i : i + rows]), targets[i : i + rows])
            for i in range(0, len(targets), rows)
        ]
        logprobs, entropies = zip(*parts, strict=True)
        return np.concatenate(logprobs), np.concatenate(entropies)

    def _of_logits(self, logits: Any, targets: Any) -> tuple[Floats, Floats]:
        stats = token_stats(logits, targets, self.temperature, metrics=("logprob", "entropy"))
        return stats.logprob.float().cpu().numpy(), stats.entropy.float().cpu().numpy()

    def _probe(self, sample: Tokens) -> bool:
        """Say whether the output layer on the last hidden states gives the model's own logits, to the bit."""
        network = self.model.network
        ids = self._torch.tensor([(sample.context + sample.reply)[:_PROBE]], device=self._device)
        try:
            own = network(input_ids=ids, use_cache=False).logits
            states = network.base_model(input_ids=ids, use_cache=False)[0]
            if states.shape[-1] != self._head.weight.shape[1]:
                return False
            return bool(self._torch.equal(own, self._head(states)))
        except (AttributeError, TypeError, NotImplementedError):
            return False
