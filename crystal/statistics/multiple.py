"""Inference over many tasks: false discoveries, exact binomial limits, t tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.statistics.arrays import Floats
from crystal.statistics.special import beta_quantile, t_survival


def benjamini_hochberg(p: Sequence[float | None] | npt.ArrayLike) -> Floats:
    """Return q-values: the smallest false discovery rate at which each test is rejected.

    q_(i) = min over j >= i of m p_(j) / j (Benjamini and Hochberg 1995). Missing p-values (NaN or None) stay
    missing and are not counted in m.

    Parameters
    ----------
    p : array_like, float64 [m]
        p-values in [0, 1], NaN or None where there is none.

    Returns
    -------
    ndarray, float64 [m]
        q-values in [0, 1], NaN where p is missing.

    Raises
    ------
    SettingsError
        If a p-value is outside [0, 1].

    Examples
    --------
    >>> benjamini_hochberg([0.01, None, 0.04]).tolist()
    [0.02, nan, 0.04]
    """
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or np.any((values < 0) | (values > 1)):
        raise SettingsError("p-values are a list of numbers from 0 to 1", where="p")
    known = np.flatnonzero(~np.isnan(values))
    result = np.full(values.shape, np.nan)
    if known.size:
        order = known[np.argsort(values[known], kind="stable")]
        scaled = values[order] * known.size / np.arange(1, known.size + 1)
        result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1.0)
    return result


def clopper_pearson(successes: int, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the exact one-sided limits of a binomial share, each at level 1 - alpha (Clopper, Pearson 1934).

    Parameters
    ----------
    successes, n : int
        0 <= successes <= n.
    alpha : float
        Error rate of each limit alone; the two together are a 1 - 2 alpha interval.

    Returns
    -------
    tuple of float
        Lower and upper limit; (0, 1) for n = 0.

    Raises
    ------
    SettingsError
        If the numbers are out of range.

    Examples
    --------
    >>> low, high = clopper_pearson(5, 5)
    >>> round(low, 3), high
    (0.549, 1.0)
    """
    if not 0 <= successes <= n or not 0 < alpha < 1:
        raise SettingsError(
            "not a number of successes", expected="0 <= successes <= n", got=f"{successes} of {n}"
        )
    low = beta_quantile(alpha, successes, n - successes + 1) if successes else 0.0
    high = beta_quantile(1 - alpha, successes + 1, n - successes) if successes < n else 1.0
    return low, high


@dataclass(frozen=True)
class TTest:
    """A one-sided t test of mean > threshold; ``p`` is None with fewer than two values."""

    mean: float
    t: float | None
    freedom: int
    p: float | None


def t_test(values: npt.ArrayLike, threshold: float = 0.0) -> TTest:
    """Test whether the mean exceeds a threshold (Student 1908, one-sided).

    Where all values are equal the variance says nothing; p is then that of the sign test, 2^-n above the
    threshold and 1 otherwise.

    Parameters
    ----------
    values : array_like, float64 [n]
        One value a unit (prompt, task); NaN are left out.
    threshold : float
        The mean under the null. For ``mean < threshold`` negate both.

    Returns
    -------
    TTest
        Mean, t, degrees of freedom n - 1 and p.

    Examples
    --------
    >>> round(t_test([1.0, 2.0, 3.0]).p, 4)
    0.0371
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[~np.isnan(x)]
    if x.size < 2:
        return TTest(float(x[0]) if x.size else math.nan, None, max(x.size - 1, 0), None)
    mean = float(x.mean())
    error = float(x.std(ddof=1)) / math.sqrt(x.size)
    # Equal values whose mean is rounded leave a spread of a few units in the last place.
    if error <= 1e-14 * float(np.abs(x).max()):
        above = mean - threshold > 1e-14 * float(np.abs(x).max())
        return TTest(mean, None, x.size - 1, 2.0**-x.size if above else 1.0)
    t = (mean - threshold) / error
    return TTest(mean, t, x.size - 1, t_survival(t, x.size - 1))


def paired_t_test(first: npt.ArrayLike, second: npt.ArrayLike, threshold: float = 0.0) -> TTest:
    """Test whether the mean of ``first - second`` exceeds a threshold, pair by pair.

    Parameters
    ----------
    first, second : array_like, float64 [n]
        Values of the same units in the same order; pairs with a NaN are left out.
    threshold : float
        The mean difference under the null.

    Returns
    -------
    TTest
        As :func:`t_test` of the differences.

    Raises
    ------
    SettingsError
        If the lengths differ.

    Examples
    --------
    >>> round(paired_t_test([2.0, 4.0, 6.0], [1.0, 2.0, 3.0]).p, 4)
    0.0371
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise SettingsError("pairs need equally many values", expected=str(a.shape), got=str(b.shape))
    return t_test(a - b, threshold)
