"""Means of token values with standard errors over sequences, from exact sums."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from crystal.states.exact_sums import FRACTION, TokenMoments
from crystal.statistics.estimate import Estimate
from crystal.statistics.special import t_quantile, t_survival

LARGEST = 700.0
"""Nats above which a perplexity or branching factor is not given: it would leave float64."""


@dataclass(frozen=True)
class Mean:
    """A mean, the variance of its error, and the degrees of freedom of that variance (Student)."""

    value: float
    variance: float | None
    freedom: float


def token_mean(moments: TokenMoments) -> Mean:
    """Return the mean of all tokens of one prompt, and its error as sequences vary.

    With S_i the sum and n_i the tokens of sequence i of k, the mean is R = sum S_i / sum n_i, a ratio, and
    its variance k / (k - 1) sum (S_i - R n_i)^2 / (sum n_i)^2 (Cochran 1977, Sampling Techniques, 2.11):
    tokens of one sequence are not independent, sequences are. It is computed in whole numbers, so nothing
    cancels.

    Parameters
    ----------
    moments : TokenMoments
        With at least one token.

    Returns
    -------
    Mean
        In nats and nats squared; no variance for a single sequence.

    Examples
    --------
    >>> one = 2**40
    >>> two = TokenMoments(2, 4, 0, 6 * one, 10 * one, 20 * one, 12 * one, 8)  # sums 2 and 4, two tokens each
    >>> token_mean(two)
    Mean(value=1.5, variance=0.25, freedom=1)
    """
    unit = 1 << FRACTION
    mean = Fraction(moments.sum, moments.tokens * unit)
    k = moments.sequences
    if k < 2:
        return Mean(float(mean), None, 0)
    squares = Fraction(moments.sequence_squares, unit)
    squares += mean * (mean * moments.token_squares - 2 * Fraction(moments.products, unit))
    # Sums of sequences are rounded (2^-20) where they are squared, so equal sequences leave a speck.
    speck = Fraction(k, 1 << FRACTION)
    variance = squares * k / (k - 1) / moments.tokens**2 if squares > speck else Fraction(0)
    return Mean(float(mean), float(variance), k - 1)


def exponential(mean: Mean) -> Mean | None:
    """Return the mean's exponential (perplexity, branching factor) by the delta method; None if too large."""
    if mean.value > LARGEST:
        return None
    value = math.exp(mean.value)
    variance = None if mean.variance is None else mean.variance * value * value
    return Mean(value, variance, mean.freedom)


def average(means: Sequence[Mean]) -> Mean:
    """Return the mean of independent means, each with the same weight (Satterthwaite's degrees of freedom).

    Examples
    --------
    >>> average([Mean(1.0, 0.5, 4), Mean(2.0, 0.5, 4)])
    Mean(value=1.5, variance=0.25, freedom=8.0)
    """
    m = len(means)
    value = math.fsum(mean.value for mean in means) / m
    known = [(mean.variance, mean.freedom) for mean in means if mean.variance is not None]
    if len(known) < m:
        return Mean(value, None, 0)
    total = math.fsum(variance for variance, _ in known)
    spread = math.fsum(variance * variance / freedom for variance, freedom in known)
    freedom = total * total / spread if spread > 0 else math.fsum(freedom for _, freedom in known)
    return Mean(value, total / (m * m), freedom)


def difference(before: Mean, after: Mean) -> Mean:
    """Return the change between independent means (Welch).

    Examples
    --------
    >>> difference(Mean(1.0, 0.5, 4), Mean(2.0, 0.5, 4))
    Mean(value=1.0, variance=1.0, freedom=8.0)
    """
    both = average([before, after])
    variance = None if both.variance is None else 4 * both.variance
    return Mean(after.value - before.value, variance, both.freedom)


def interval(mean: Mean, alpha: float, *, positive: bool = False, test: bool = False) -> Estimate:
    """Return a mean with Student's limits; with ``positive`` they are symmetric in the logarithm.

    Parameters
    ----------
    mean : Mean
    alpha : float
        1 - level.
    positive : bool
        The value cannot reach 0: limits are ``value * exp(+-t se / value)``.
    test : bool
        Give p of the hypothesis that the true value is 0, too (two-sided).

    Returns
    -------
    Estimate
    """
    if mean.variance is None:
        return Estimate(value=mean.value, reason="a prompt has one sequence: how sequences vary is not known")
    error = math.sqrt(mean.variance)
    name = "ratio of sums, Student over sequences"
    if error == 0:
        p = None if mean.value else 1.0
        return Estimate(
            value=mean.value, low=mean.value, high=mean.value, estimator=name, p=p if test else None
        )
    reach = t_quantile(1 - alpha / 2, mean.freedom) * error
    low, high = mean.value - reach, mean.value + reach
    if positive:
        factor = math.exp(min(reach / mean.value, LARGEST))
        low, high = mean.value / factor, mean.value * factor
    p = min(1.0, 2 * t_survival(abs(mean.value) / error, mean.freedom)) if test else None
    return Estimate(value=mean.value, low=low, high=high if high < math.inf else None, estimator=name, p=p)


def over_prompts(means: Sequence[Mean], alpha: float, fewest: int) -> tuple[float, float] | None:
    """Return limits of the mean for prompts that nobody asked: Student over prompts; None below `fewest`."""
    m = len(means)
    if m < max(fewest, 2):
        return None
    value = math.fsum(mean.value for mean in means) / m
    error = math.sqrt(math.fsum((mean.value - value) ** 2 for mean in means) / (m - 1) / m)
    reach = t_quantile(1 - alpha / 2, m - 1) * error
    return value - reach, value + reach


def spread(means: Sequence[Mean]) -> Estimate:
    """Return the standard deviation of the prompts' true means: what sequences' noise adds is taken off.

    sqrt(max(0, s^2 - mean of the prompts' error variances)), s^2 the variance of the prompts' means: the
    method of moments of the one-way random-effects model, prompts with equal weights.

    Examples
    --------
    >>> round(spread([Mean(1.0, 0.5, 4), Mean(3.0, 0.5, 4)]).value, 4)
    1.2247
    """
    m = len(means)
    if m < 2:
        return Estimate.unknown("one prompt: there is nothing to compare it with")
    known = [mean.variance for mean in means if mean.variance is not None]
    if len(known) < m:
        return Estimate.unknown("a prompt has one sequence: how sequences vary is not known")
    value = math.fsum(mean.value for mean in means) / m
    observed = math.fsum((mean.value - value) ** 2 for mean in means) / (m - 1)
    return Estimate(
        value=math.sqrt(max(0.0, observed - math.fsum(known) / m)),
        estimator="between prompts, noise taken off",
    )
