"""Runs the Triton kernels in their interpreter, and holds the references that their tests share."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

# Read when the kernels (and Triton's own library) are decorated: it has to be here before their import.
os.environ["TRITON_INTERPRET"] = "1"

import numpy as np
import pytest
import torch

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def launch() -> Callable[..., Any]:
    """`launch_stats` in the interpreter, as a dict of results by name."""
    from crystal.kernels import token_launch
    from crystal.kernels.token_fields import RESULT_COUNTS, RESULT_FLOATS

    assert token_launch.INTERPRETED, "triton was imported before TRITON_INTERPRET was set"

    def run(*args: Any, stats: Any = token_launch.launch_stats, **kwargs: Any) -> dict[str, Any]:
        # A GPU does not warn of the NaN and infinities that tests send through.
        with np.errstate(all="ignore"), warnings.catch_warnings(category=RuntimeWarning, action="ignore"):
            floats, counts = stats(*args, **kwargs)
        return dict(zip((*RESULT_FLOATS, *RESULT_COUNTS), (*floats, *counts), strict=True))

    return run


@pytest.fixture(scope="session")
def compare() -> Callable[..., Any]:
    """`launch_divergence` in the interpreter, as a dict of results by name."""
    from crystal.kernels import divergence_launch
    from crystal.kernels.divergence_sums import DIVERGENCES

    def run(*args: Any, find: Any = divergence_launch.launch_divergence, **kwargs: Any) -> dict[str, Any]:
        with np.errstate(all="ignore"), warnings.catch_warnings(category=RuntimeWarning, action="ignore"):
            results, status = find(*args, **kwargs)
        return dict(zip((*DIVERGENCES, "status"), (*results, status), strict=True))

    return run


def exact(logits: Any, tokens: Any, temperature: float = 1.0) -> dict[str, Any]:
    """The definitions in float64, by log_softmax: nothing here is shared with the package."""
    x = logits.double() / temperature
    logp = torch.log_softmax(x, dim=-1)
    p = logp.exp()
    terms = torch.where(p > 0, p * logp, 0.0)
    entropy = -terms.sum(-1)
    chosen = x.gather(-1, tokens[..., None])
    surprise = torch.where(p > 0, -logp, 0.0)
    return {
        "logsumexp": torch.logsumexp(x, dim=-1),
        "logprob": logp.gather(-1, tokens[..., None])[..., 0],
        "entropy": entropy,
        "varentropy": (p * (surprise - entropy[..., None]) ** 2).sum(-1),
        "collision": (p * p).sum(-1),
        "top1": p.amax(-1),
        "mass_above": torch.where(x > chosen, p, 0.0).sum(-1),
        "argmax": (x == x.amax(-1, keepdim=True)).int().argmax(-1),
        "n_greater": (x > chosen).sum(-1),
        "n_equal": (x == chosen).sum(-1),
    }


_BARS = {
    "logprob": 3e-6,
    "entropy": 3e-6,
    "varentropy": 2e-5,
    "collision": 5e-7,
    "top1": 5e-7,
    "mass_above": 1e-6,
}


def hold(got: dict[str, Any], want: dict[str, Any], slack: float = 1.0) -> None:
    """Hold results to the bar: lse 2e-6 + 2e-7 |lse|, the others as in _BARS, counts exactly."""
    for name, value in got.items():
        if name == "status":
            assert (value == 0).all()
        elif name in ("argmax", "n_greater", "n_equal"):
            assert torch.equal(value.long(), want[name]), name
        else:
            bar = 2e-6 + 2e-7 * want[name].abs() if name == "logsumexp" else torch.tensor(_BARS[name])
            if name == "logprob":
                # The reference's own error at this precision grows with the size of the result.
                bar = bar + 2e-7 * want[name].abs()
            error = (value.double() - want[name]).abs()
            assert (error <= slack * bar).all(), f"{name}: off by {error.max():.2e}"


def divergences(p_logits: Any, q_logits: Any, temperature: float = 1.0) -> dict[str, Any]:
    """The definitions in float64, by log_softmax, with sum q - p = 0 written into the sums."""
    a, b = (torch.log_softmax(side.double() / temperature, dim=-1) for side in (p_logits, q_logits))
    p, q = a.exp(), b.exp()
    m = torch.logaddexp(a, b) - np.log(2)

    def times(weight: Any, log: Any) -> Any:
        return torch.where(weight > 0, weight * log, 0.0)

    return {
        "kl": (times(p, a - b) + q - p).sum(-1),
        "kl_reverse": (times(q, b - a) + p - q).sum(-1),
        "js": (times(p, a - m) + times(q, b - m)).sum(-1) / 2,
        "tv": (p - q).abs().sum(-1) / 2,
        "hellinger": (((a / 2).exp() - (b / 2).exp()).square().sum(-1) / 2).sqrt(),
    }


def hold_divergences(got: dict[str, Any], want: dict[str, Any]) -> None:
    """Hold ordinary rows to 2e-6 and 5e-6 of the value."""
    for name, value in want.items():
        error = (got[name] - value).abs()
        assert (error <= 2e-6 + 5e-6 * value).all(), f"{name}: off by {error.max():.2e}"


def rounded_levels(launcher: Any) -> None:
    """Hold divergences from normalisers that are off by 3e-5 to the bar of small KL.

    `launcher` is the module ``divergence_launch``.
    """
    generator = torch.Generator().manual_seed(4)
    x = (torch.randn(3, 500, generator=generator) * 1024).round() / 1024 + 1000
    y = x.clone()
    y[:, 7] += 0.0009765625
    levels = torch.stack([torch.logsumexp(side.double(), 1).float().double() for side in (x, y)])
    levels[1] += 3e-5
    ids, status = torch.full((3,), 7), torch.zeros(3, dtype=torch.int64)
    sums = launcher.launch_sums(x, y, ids, levels, status, 1.0)
    got = launcher.finish(torch, sums, levels, status, 1.0, "float32")
    for value, (name, want) in zip(got, divergences(x, y).items(), strict=False):
        error = (value - want).abs() / want
        if name != "tv":
            assert (error <= 1e-4).all(), f"{name}: off by {error.max():.1e}"


@pytest.fixture(scope="session")
def house() -> SimpleNamespace:
    """The definitions in float64 and the bar of accuracy."""
    return SimpleNamespace(
        exact=exact,
        hold=hold,
        divergences=divergences,
        hold_divergences=hold_divergences,
        rounded_levels=rounded_levels,
    )


@pytest.fixture
def generator() -> Any:
    return torch.Generator().manual_seed(7)
