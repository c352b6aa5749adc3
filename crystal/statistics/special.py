"""The few special functions that the statistics need, in plain NumPy and ``math``: SciPy is no dependency.

Arrays: :func:`digamma`, :func:`trigamma`, :func:`log_rising`, :func:`xlog2x`. Scalars: the normal, Student
and beta distributions. The tests hold them to SciPy's.
"""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError

Floats = npt.NDArray[np.float64]

LN2 = math.log(2.0)
_SHIFT = 10
"""Arguments are moved up by this much, where the asymptotic series are exact to the last bits."""
_NORMAL = NormalDist()
_MANY = 2_000.0
"""Degrees of freedom from which four terms of an expansion give Student's quantile to the last bits."""


def xlog2x(values: npt.ArrayLike) -> Floats:
    """Return ``x log2 x`` with ``0 log 0 = 0``; values must not be negative."""
    x = np.asarray(values, dtype=np.float64)
    result: Floats = x * np.log2(np.where(x > 0, x, 1.0))
    return result


def digamma(values: npt.ArrayLike) -> Floats:
    """Return the derivative of ``ln Gamma`` for positive arguments, to about 1e-14.

    Abramowitz and Stegun 6.3.5 (recurrence) and 6.3.18 (asymptotic series).
    """
    x = np.asarray(values, dtype=np.float64)
    shift = np.zeros_like(x)
    for step in range(_SHIFT):
        shift += 1.0 / (x + step)
    z = x + _SHIFT
    w = 1.0 / (z * z)
    series = w * (1 / 12 - w * (1 / 120 - w * (1 / 252 - w * (1 / 240 - w * (1 / 132 - w * 691 / 32760)))))
    result: Floats = np.log(z) - 0.5 / z - series - shift
    return result


def trigamma(values: npt.ArrayLike) -> Floats:
    """Return the second derivative of ``ln Gamma`` for positive arguments (Abramowitz and Stegun 6.4.12)."""
    x = np.asarray(values, dtype=np.float64)
    shift = np.zeros_like(x)
    for step in range(_SHIFT):
        shift += 1.0 / (x + step) ** 2
    z = x + _SHIFT
    w = 1.0 / (z * z)
    series = (
        w
        / z
        * (1 / 6 - w * (1 / 30 - w * (1 / 42 - w * (1 / 30 - w * (5 / 66 - w * (691 / 2730 - w * 7 / 6))))))
    )
    result: Floats = 1.0 / z + 0.5 * w + series + shift
    return result


def log_rising(base: npt.ArrayLike, count: npt.ArrayLike) -> Floats:
    """Return ``ln Gamma(x + n) - ln Gamma(x)`` for x > 0 and n >= 0, without cancellation at large x.

    The difference of two Stirling series is taken term by term; small x are moved up by the recurrence first.
    """
    x = np.asarray(base, dtype=np.float64)
    n = np.asarray(count, dtype=np.float64)
    shift = np.zeros(np.broadcast(x, n).shape)
    for step in range(_SHIFT):
        shift += np.log1p(n / (x + step))
    low, high = x + _SHIFT, x + n + _SHIFT
    main = (low - 0.5) * np.log1p(n / low) + n * np.log(high) - n
    result: Floats = main + _stirling_tail(high) - _stirling_tail(low) - shift
    return result


def log_gamma(x: Floats) -> Floats:
    """Return ``ln Gamma(x)`` of x of 10 and more by Stirling's series."""
    result: Floats = (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi) + _stirling_tail(x)
    return result


def _stirling_tail(z: Floats) -> Floats:
    w = 1.0 / (z * z)
    result: Floats = (
        1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * (1 / 1188 - w * 691 / 360360))))
    ) / z
    return result


def normal_cdf(x: float) -> float:
    """Return the standard normal distribution function, accurate in both tails."""
    return 0.5 * math.erfc(-x / math.sqrt(2.0))


def normal_quantile(p: float) -> float:
    """Return the standard normal quantile; -inf and inf at 0 and 1."""
    _probability(p)
    if p in (0.0, 1.0):
        return math.inf if p == 1.0 else -math.inf
    return _NORMAL.inv_cdf(p)


def beta_cdf(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b).

    Lentz's evaluation of the continued fraction (Abramowitz and Stegun 26.5.8), on the side where it is fast.
    """
    if not (a > 0 and b > 0):
        raise SettingsError("both parameters of a beta distribution are positive", got=f"{a}, {b}")
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    if x > (a + 1) / (a + b + 2):
        return 1.0 - beta_cdf(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    tiny = 1e-300
    c, d = 1.0, 1.0 / _away_from_zero(1.0 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 100_000):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 / _away_from_zero(1.0 + numerator * d, tiny)
            c = _away_from_zero(1.0 + numerator / c, tiny)
            fraction *= c * d
        if abs(c * d - 1.0) < 1e-16 * 8:
            break
    return min(1.0, front * fraction / a)


def _away_from_zero(value: float, tiny: float) -> float:
    return tiny if abs(value) < tiny else value


def beta_quantile(p: float, a: float, b: float) -> float:
    """Return the quantile of the beta distribution, by bisection guarded Newton steps."""
    _probability(p)
    if p in (0.0, 1.0):
        return p
    low, high = 0.0, 1.0
    x = a / (a + b)
    constant = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    for _ in range(2000):
        error = beta_cdf(x, a, b) - p
        if error > 0:
            high = x
        else:
            low = x
        density = math.exp(
            max(-700.0, min(700.0, constant + (a - 1) * math.log(x) + (b - 1) * math.log1p(-x)))
        )
        new = x - error / density
        if not low < new < high:
            # Halving the logarithm too: quantiles near 0 may be many decades away.
            new = math.sqrt(low * high) if low > 0 and high > 4 * low else 0.5 * (low + high)
        if abs(new - x) <= 1e-15 * new or new in (low, high) or new <= 0.0 or new >= 1.0:
            return min(max(new, low), high)
        x = new
    return x


def t_cdf(x: float, freedom: float) -> float:
    """Return Student's distribution function with ``freedom`` > 0 degrees of freedom (inf: the normal)."""
    if math.isinf(freedom):
        return normal_cdf(x)
    tail = 0.5 * beta_cdf(freedom / (freedom + x * x), freedom / 2, 0.5)
    return tail if x < 0 else 1.0 - tail


def t_survival(x: float, freedom: float) -> float:
    """Return ``1 - t_cdf(x)`` without cancellation in the upper tail."""
    return t_cdf(-x, freedom)


@lru_cache(maxsize=1024)
def t_quantile(p: float, freedom: float) -> float:
    """Return Student's quantile; -inf and inf at 0 and 1."""
    _probability(p)
    if p == 0.5:
        return 0.0
    if math.isinf(freedom) or p in (0.0, 1.0):
        return normal_quantile(p)
    if freedom >= _MANY and 1e-4 < p < 1 - 1e-4:
        return _near_normal(normal_quantile(p), freedom)
    tail = min(p, 1 - p)
    if tail > 0.25:  # t^2 / (freedom + t^2) is then the small, accurate side
        y = beta_quantile(1 - 2 * tail, 0.5, freedom / 2)
        size = math.sqrt(freedom * y / (1 - y))
    else:
        x = beta_quantile(2 * tail, freedom / 2, 0.5)
        size = math.sqrt(freedom * (1 - x) / x) if x > 0 else math.inf
    return size if p > 0.5 else -size


def _near_normal(z: float, freedom: float) -> float:
    """Return Student's quantile by its expansion in 1 / freedom (Abramowitz and Stegun 26.7.5)."""
    w = z * z
    terms = (
        (w + 1) / 4,
        ((5 * w + 16) * w + 3) / 96,
        (((3 * w + 19) * w + 17) * w - 15) / 384,
        ((((79 * w + 776) * w + 1482) * w - 1920) * w - 945) / 92160,
    )
    return z * (1 + sum(term / freedom ** (i + 1) for i, term in enumerate(terms)))


def _probability(p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise SettingsError("a probability is outside its range", expected="0 to 1", got=str(p))
