"""The cooling test: is a tuned model its base at another temperature, and what remains if it is not."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.ops import token_backends, token_inputs
from crystal.ops.token_backends import Backend
from crystal.ops.token_cooling import EXCLUDED, CoolingFit, fit
from crystal.ops.token_curves import check_rows
from crystal.ops.token_fold import borders
from crystal.statistics.special import t_quantile


@dataclass(frozen=True, slots=True)
class CoolingTest:
    """How far a temperature alone turns the base's token distributions into the tuned model's; nats.

    Attributes
    ----------
    temperature : float
        At which the base is nearest to the tuned model over all tokens: below 1 it was cooled. 1e-4 or 1e4
        where the minimum lies beyond; NaN without a good token.
    low, high : float
        Limits of the temperature over sequences; NaN with fewer than two of them.
    divergence : float
        Mean KL(tuned | base) over the good tokens, at temperature 1.
    remainder : float
        The same at `temperature`: what cooling does not explain.
    explained : float
        1 - remainder / divergence, 0 to 1; NaN where the divergence is 0.
    tokens, sequences : int
        Good tokens, and sequences with at least one.
    excluded : int
        Tokens left out because the tuned model gives probability to what the base excludes (-inf): their
        divergence is infinite at every temperature.
    token_temperature, token_divergence, token_remainder : array
        float64 in the shape of the tokens: each token's own temperature, its divergence at temperature 1 and
        at its own.
    status : array
        0 for a good token, the bits of :class:`crystal.ops.tokens.TokenStats` for either model's row, or 8
        for an excluded one.
    """

    temperature: float
    low: float
    high: float
    divergence: float
    remainder: float
    explained: float
    tokens: int
    sequences: int
    excluded: int
    token_temperature: Any
    token_divergence: Any
    token_remainder: Any
    status: Any


def cooling_test(
    base_logits: Any,
    tuned_logits: Any,
    *,
    tokens: Any = None,
    offsets: Any = None,
    alpha: float = 0.05,
    backend: Backend = "auto",
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> CoolingTest:
    """Find the temperature at which the base, cooled, is nearest to the tuned model, and what remains there.

    With x the base's logits, q the tuned distribution and p_b ~ exp(b x) at b = 1 / T, the mean over tokens
    of KL(q | p_b) = sum q log q - b E_q[x] + log sum exp(b x) is convex in b, with derivative
    E_p[x] - E_q[x] and second derivative Var_p[x]. Its minimum is found by Newton's method inside a bracket,
    for all tokens together and for each by itself, with one read of the base's logits a step; E_q[x] and the
    divergences are computed in float64. At the minimum the base has the tuned model's mean logit.

    The interval is a jackknife over sequences on log T: leaving sequence i out moves b, to first order, by
    one Newton step -(S - S_i) / (V - V_i) of the sums of derivatives; quantiles of Student's t with
    sequences - 1 degrees of freedom.

    Parameters
    ----------
    base_logits, tuned_logits : array
        [tokens, vocabulary] or [batch, time, vocabulary] at the same contexts; kinds and dtypes as in
        :func:`crystal.token_stats`, the two dtypes may differ.
    tokens : array of integers, optional
        Ids of the leading shape; only `ignored_id` among them matters: such rows are left out.
    offsets : array of integers, optional
        [sequences + 1], as in :func:`crystal.fold`. Without them every row of [batch, time] is a sequence,
        and logits of shape [tokens, vocabulary] have no interval.
    alpha : float
        The interval covers the temperature with probability 1 - alpha; above 0 and below 1.
    backend, ignored_id, dtype, threads
        As in :func:`crystal.token_stats`.

    Returns
    -------
    CoolingTest
        Arrays in the library of the logits.

    Raises
    ------
    SettingsError
        On wrong input, or logits of different shapes, kinds or devices; before any work.

    Examples
    --------
    A base cooled by 0.5 is found, and nothing remains:

    >>> import numpy as np
    >>> base = np.random.default_rng(0).normal(size=(6, 50)).astype(np.float32)
    >>> found = cooling_test(base, base / np.float32(0.5))
    >>> print(round(found.temperature, 4), round(found.remainder, 6), round(found.explained, 4))
    0.5 0.0 1.0
    """
    if not 0.0 < alpha < 1.0:
        raise SettingsError("out of range", where="alpha", expected="above 0, below 1", got=repr(alpha))
    bits = [dtype if str(getattr(x, "dtype", "")) == "uint16" else None for x in (base_logits, tuned_logits)]
    base, tuned = (
        check_rows(x, tokens, ignored_id=ignored_id, dtype=bit)
        for x, bit in zip((base_logits, tuned_logits), bits, strict=True)
    )
    ours, theirs = (
        (given.kind, tuple(given.logits.shape), str(getattr(given.logits, "device", "cpu")))
        for given in (base, tuned)
    )
    if ours != theirs:
        raise SettingsError("unlike the base's", where="tuned_logits", expected=str(ours), got=str(theirs))
    name = token_backends.choose(base, backend)
    edges = None if offsets is None and len(base.shape) == 1 else borders(base.shape, offsets)
    found = fit(base, tuned, name, ignored_id=ignored_id, threads=threads)
    good = found.status == 0
    sequences, low, high = (int(good.any()), math.nan, math.nan)
    if edges is not None:
        sequences, low, high = _limits(found, edges, alpha)
    kept = (found.before[good], found.pooled[good])
    before, after = (float(x.mean()) if good.any() else math.nan for x in kept)
    per_token = (1.0 / found.inverses, found.before, found.own, found.status)
    arrays = [token_backends.like(base, x.reshape(base.shape)) for x in per_token]
    if base.on_gpu:
        arrays = [x.to(base.logits.device) for x in arrays]
    return CoolingTest(
        1.0 / found.inverse,
        low,
        high,
        before,
        after,
        max(0.0, 1.0 - after / before) if before > 0 else math.nan,
        int(good.sum()),
        sequences,
        int((found.status == EXCLUDED).sum()),
        *arrays,
    )


def _limits(found: CoolingFit, edges: Any, alpha: float) -> tuple[int, float, float]:
    """Return how many sequences have good tokens, and the limits of the pooled temperature over them."""
    good = found.status == 0
    owner = np.repeat(np.arange(edges.size - 1), np.diff(edges))[good]
    size = edges.size - 1
    there = np.bincount(owner, minlength=size) > 0
    count = int(there.sum())
    slope, curvature = (
        np.bincount(owner, weights=x[good], minlength=size)[there] for x in (found.slope, found.curvature)
    )
    rest = curvature.sum() - curvature
    if count < 2 or not (rest > 0).all():
        return count, math.nan, math.nan
    inverse = found.inverse - (slope.sum() - slope) / rest
    if not (inverse > 0).all():
        return count, math.nan, math.nan
    left_out = -np.log(inverse)
    error = math.sqrt((count - 1) / count * float(((left_out - left_out.mean()) ** 2).sum()))
    half = t_quantile(1 - alpha / 2, count - 1) * error
    return count, math.exp(-half) / found.inverse, math.exp(half) / found.inverse
