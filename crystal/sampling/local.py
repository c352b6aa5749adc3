"""Draws and exact distributions from a transformers model: each prompt is read once, its cache shared."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.resampling import stream_key
from crystal.sampling.forms import Path, by_path, forms, of_options
from crystal.sampling.models import Model, need
from crystal.sampling.plan import Drawn, Unit
from crystal.sampling.rendering import Renderer, Request
from crystal.tasks.task import TaskSuite

Floats = npt.NDArray[np.float64]
NEGLIGIBLE = 1e-9
"""Ways to write an option whose first token is less probable are left out of an exact distribution."""
LOGIT_BYTES = 1 << 28
_SHARE = 2.0**-52


class Decoding(NamedTuple):
    """How samples are drawn; what goes into the column ``decoding``."""

    temperature: float
    top_p: float
    top_k: int
    """0: no cut."""
    max_tokens: int


class Local:
    """A transformers model as a source of samples.

    Parameters
    ----------
    model : Model
    rendering : str
        As for :class:`Renderer`.
    decoding : Decoding
    seed : int
    """

    parallel = 1

    def __init__(self, model: Model, rendering: str, decoding: Decoding, seed: int) -> None:
        (self._torch,) = need("torch")
        self.model, self.decoding, self.seed = model, decoding, seed
        self._renderer = Renderer(model.tokenizer, rendering, TaskSuite())
        self.rendering = self._renderer.name
        self.name = model.name
        self._ends = _ends(model)
        self._device = model.network.get_output_embeddings().weight.device
        accepted = inspect.signature(model.network.forward).parameters
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}

    def settings(self) -> dict[str, str]:
        """Return what else than the units decides the result."""
        dtype = str(self.model.network.dtype).removeprefix("torch.")
        return {"model": self.model.identity(), "dtype": dtype, "rendering": self.rendering}

    def draw(self, unit: Unit, note: Callable[[str], None]) -> list[Drawn]:  # noqa: ARG002
        """Return the unit's samples.

        A sample's token t comes from the inverse of the distribution function at a uniform number that
        depends on (seed, task, family, prompt, sample, t) alone.
        """
        context = self._context(unit, self.decoding.max_tokens)
        uniforms = self._uniforms(unit)
        tokens, logprobs, entropies = self._draw(context, uniforms)
        samples = []
        before = self._text(context)
        for row in range(unit.count):
            end = next((t for t, token in enumerate(tokens[row]) if token in self._ends), len(tokens[row]))
            ids = tokens[row][:end]
            whole = self._text(context + ids)
            text = whole[len(before) :] if whole.startswith(before) else self._text(ids)
            samples.append(Drawn(text, ids, logprobs[row][:end], entropies[row][:end]))
        return samples

    def distribution(self, unit: Unit, note: Callable[[str], None]) -> dict[str, float]:  # noqa: ARG002
        """Return the probability of each option of the unit's task."""
        context = self._context(unit, 0)
        prompt = self._renderer.prompt_text(self._request(unit))
        ways = forms(unit.task, prompt)
        rendered = self._renderer.render([self._request(unit, text) for text in ways])
        paths = by_path(
            [(tuple(tokens.reply), option) for tokens, option in zip(rendered, ways.values(), strict=True)],
            f"{self.name}, {unit}",
        )
        longest = max(map(len, paths))
        self._check_length(unit, len(context) + longest)
        logprobs = self._paths(context, list(paths))
        return of_options(unit.task.options, paths, logprobs, f"{self.name}, {unit}")

    def _request(self, unit: Unit, text: str | None = None) -> Request:
        wording = unit.wording
        asked = wording.chat if self._renderer.chat else wording.completion
        return Request(unit.task.id, wording.family, asked, text, None)

    def _context(self, unit: Unit, room: int) -> list[int]:
        (tokens,) = self._renderer.render([self._request(unit)])
        if not tokens.context:
            raise InputError("the prompt is empty, so nothing predicts the first token", where=str(unit))
        self._check_length(unit, len(tokens.context) + room)
        return tokens.context

    def _check_length(self, unit: Unit, size: int) -> None:
        if self.model.context is not None and size > self.model.context:
            raise InputError(
                "the prompt and its reply are longer than the model takes",
                where=str(unit),
                expected=f"at most {self.model.context:,} tokens",
                got=f"{size:,}",
            )

    def _uniforms(self, unit: Unit) -> Floats:
        key = stream_key("sample", unit.task.id, unit.wording.family, unit.wording.id)
        rows = [
            np.random.Philox(key=[self.seed, key], counter=[0, 0, 0, unit.first + row]).random_raw(
                self.decoding.max_tokens
            )
            for row in range(unit.count)
        ]
        return ((np.array(rows, np.uint64) >> np.uint64(12)).astype(np.float64) + 0.5) * _SHARE

    def _read(self, context: Sequence[int]) -> tuple[Any, Any]:
        """Read a prompt once: its cache, and the logits of what follows, shape (1, vocabulary)."""
        ids = self._torch.tensor([list(context)], device=self._device)
        output = self.model.network(input_ids=ids, use_cache=True, **self._last_only)
        cache = getattr(output, "past_key_values", None)
        if not hasattr(cache, "batch_repeat_interleave"):
            raise SettingsError(
                "this kind of model keeps no cache that samples could share",
                where=self.name,
                got=type(cache).__name__,
                fix="serve it, and give the server's address (--server)",
            )
        return cache, output.logits[:, -1]

    def _draw(
        self, context: list[int], uniforms: Floats
    ) -> tuple[list[list[int]], list[list[float]], list[list[float]]]:
        torch = self._torch
        rows, steps = uniforms.shape
        found: tuple[list[Any], list[Any], list[Any]] = ([], [], [])
        ended = np.zeros(rows, bool)
        points = self._double(torch.from_numpy(uniforms))
        with torch.inference_mode():
            cache, logits = self._read(context)
            cache.batch_repeat_interleave(rows)
            logits = logits.expand(rows, -1)
            for step in range(steps):
                chosen, logprob, entropy = self._choose(logits, points[:, step])
                for values, new in zip(found, (chosen, logprob, entropy), strict=True):
                    values.append(new.cpu().numpy())
                ended |= np.isin(found[0][-1], list(self._ends))
                if ended.all() or step + 1 == steps:
                    break
                ids = chosen[:, None].to(self._device)
                output = self.model.network(input_ids=ids, past_key_values=cache, use_cache=True)
                cache, logits = output.past_key_values, output.logits[:, -1]
        tokens, logprobs, entropies = (np.stack(values, 1).tolist() for values in found)
        return tokens, logprobs, entropies

    def _choose(self, logits: Any, points: Any) -> tuple[Any, Any, Any]:
        """Return a token for each row, its log-probability and the entropy it was drawn under."""
        torch = self._torch
        size = max(1, LOGIT_BYTES // (8 * logits.shape[1]))
        parts = []
        for start in range(0, len(logits), size):
            p = _cut(torch, self._double(logits[start : start + size]), self.decoding)
            below = p.cumsum(-1)
            # Rounded up to the whole sum, it would be behind the last token that can be drawn.
            most = torch.nextafter(below[:, -1], torch.zeros_like(below[:, -1]))
            aim = torch.minimum(points[start : start + size] * below[:, -1], most)[:, None]
            token = torch.searchsorted(below, aim, right=True)
            logprob = p.gather(1, token).log()
            entropy = torch.special.entr(p).sum(-1)
            parts.append((token[:, 0], logprob[:, 0], entropy))
        token, logprob, entropy = (torch.cat(column) for column in zip(*parts, strict=True))
        return token, logprob, entropy

    def _paths(self, context: list[int], paths: list[Path]) -> dict[Path, float]:
        """Return the log-probability of each path behind the context, nats."""
        torch = self._torch
        with torch.inference_mode():
            cache, logits = self._read(context)
            first = torch.log_softmax(self._double(logits[0]) / self.decoding.temperature, -1).cpu().numpy()
            found = {path: float(first[path[0]]) for path in paths if first[path[0]] >= math.log(NEGLIGIBLE)}
            longer = sorted((path for path in found if len(path) > 1), key=lambda path: (len(path), path))
            room = max(1, LOGIT_BYTES // (12 * self.model.vocabulary))
            while longer:
                rows = max(1, room // max(1, len(longer[0]) - 1))
                block, longer = longer[:rows], longer[rows:]
                for path, logprob in zip(block, self._follow(cache, block), strict=True):
                    found[path] += logprob
        return found

    def _follow(self, cache: Any, block: Sequence[Path]) -> list[float]:
        """Return log p of each path's tokens behind its first, from a copy of the prompt's cache."""
        torch = self._torch
        longest = max(map(len, block)) - 1
        ids = torch.zeros((len(block), longest), dtype=torch.int64)
        targets = torch.zeros_like(ids)
        known = torch.zeros(ids.shape, dtype=torch.float64)
        for row, path in enumerate(block):
            ids[row, : len(path) - 1] = torch.tensor(path[:-1])
            targets[row, : len(path) - 1] = torch.tensor(path[1:])
            known[row, : len(path) - 1] = 1
        shared = copy.deepcopy(cache)
        shared.batch_repeat_interleave(len(block))
        logits = self.model.network(input_ids=ids.to(self._device), past_key_values=shared).logits
        logits = self._double(logits) / self.decoding.temperature
        targets, known = targets.to(logits.device), known.to(logits.device)
        chosen = logits.gather(2, targets[:, :, None])[:, :, 0] - logits.logsumexp(-1)
        sums: list[float] = (chosen * known).sum(1).tolist()
        return sums

    def _double(self, values: Any) -> Any:
        """Return values in float64, where they are; on the CPU where the device has no such type."""
        return (values.cpu() if self._device.type == "mps" else values.to(self._device)).double()

    def _text(self, ids: list[int]) -> str:
        text: str = self.model.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def _cut(torch: Any, logits: Any, decoding: Decoding) -> Any:
    """Return the probabilities that are drawn from: temperature, then the k most probable, then top-p."""
    p = torch.softmax(logits / decoding.temperature, -1)
    if decoding.top_k and decoding.top_k < p.shape[1]:
        least = p.topk(decoding.top_k, -1).values[:, -1:]
        p = torch.where(p >= least, p, 0.0)
        p = p / p.sum(-1, keepdim=True)
    if decoding.top_p < 1:
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        # The fewest that reach top_p: those before which the sum has not.
        kept = ordered.cumsum(-1) - ordered < decoding.top_p
        p = torch.zeros_like(p).scatter_(1, order, torch.where(kept, ordered, 0.0))
        p = p / p.sum(-1, keepdim=True)
    return p


def _ends(model: Model) -> frozenset[int]:
    """Return the tokens that end a reply."""
    generation = getattr(model.network, "generation_config", None)
    given = getattr(generation, "eos_token_id", None)
    ids = [model.tokenizer.eos_token_id, *(given if isinstance(given, list | tuple) else [given])]
    return frozenset(i for i in ids if i is not None)
