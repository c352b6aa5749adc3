"""Divergences between exact distributions, in bits where they have a unit."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from crystal.errors import SettingsError
from crystal.ops.divergence_matrix import hellinger_matrix, js_matrix
from crystal.statistics.arrays import Floats, as_probabilities

Kind = Literal["js", "tv", "hellinger", "kl", "wasserstein1"]


def js_divergence(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Return the Jensen-Shannon divergence with weights 1/2, 1/2 (Lin 1991).

    Parameters
    ----------
    p, q : array_like, float64 [..., K]
        Distributions over the last axis; the leading axes broadcast.

    Returns
    -------
    ndarray, float64 [...]
        H((p+q)/2) - (H(p)+H(q))/2 in bits, 0 to 1.

    Raises
    ------
    InputError
        If a row is no distribution.

    Examples
    --------
    >>> float(js_divergence([1.0, 0.0], [0.0, 1.0]))
    1.0
    """
    a, b = _pair(p, q)
    result: Floats = np.minimum(_half_js(a, b), 1.0)[()]
    return result


def _half_js(a: Floats, b: Floats) -> Floats:
    """JSD of non-negative rows, as a sum of KL terms, which loses nothing where they are nearly equal."""
    middle = 0.5 * (a + b)
    terms = 0.5 * (_kl_terms(a, middle) + _kl_terms(b, middle))
    result: Floats = np.maximum(terms.sum(axis=-1), 0.0)
    return result


def _kl_terms(a: Floats, m: Floats) -> Floats:
    ratio = np.divide(a, m, out=np.ones(np.broadcast(a, m).shape), where=(a > 0) & (m > 0))
    result: Floats = a * np.log2(ratio)
    return result


def weighted_jsd(p: npt.ArrayLike, q: npt.ArrayLike, w: npt.ArrayLike) -> Floats:
    """Return H(w p + (1-w) q) - w H(p) - (1-w) H(q) in bits, with the weight ``w`` of ``p`` in [0, 1].

    Examples
    --------
    >>> round(float(weighted_jsd([1.0, 0.0], [0.0, 1.0], 0.25)), 3)
    0.811
    """
    a, b = _pair(p, q)
    weight = np.asarray(w, dtype=np.float64)
    if not np.all((weight >= 0) & (weight <= 1)):
        raise SettingsError("a weight is outside its range", where="w", expected="0 to 1", got=str(w))
    weight = weight[..., None]
    middle = weight * a + (1 - weight) * b
    terms = weight * _kl_terms(a, middle) + (1 - weight) * _kl_terms(b, middle)
    result: Floats = np.maximum(terms.sum(axis=-1), 0.0)[()]
    return result


def js_information(p: npt.ArrayLike) -> Floats:
    """Return the equal-weight information of m groups: H(mean P_g) - mean H(P_g).

    Promptability where the groups are prompts; the Jensen-Shannon divergence where they are two checkpoints.

    Parameters
    ----------
    p : array_like, float64 [..., m, K]
        One distribution a group.

    Returns
    -------
    ndarray, float64 [...]
        Bits, 0 to log2 m.

    Examples
    --------
    >>> float(js_information([[1.0, 0.0], [0.0, 1.0]]))
    1.0
    """
    rows = as_probabilities(p)
    if rows.ndim < 2 or rows.shape[-2] == 0:
        raise SettingsError(
            "groups are missing", where="p", expected="[..., groups, options]", got=str(rows.shape)
        )
    mean = rows.mean(axis=-2, keepdims=True)
    result: Floats = np.maximum(_kl_terms(rows, mean).sum(axis=-1).mean(axis=-1), 0.0)[()]
    return result


def tv(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Return the total variation distance sum |p - q| / 2, 0 to 1.

    Examples
    --------
    >>> float(tv([0.5, 0.5], [1.0, 0.0]))
    0.5
    """
    a, b = _pair(p, q)
    result: Floats = (0.5 * np.abs(a - b).sum(axis=-1))[()]
    return result


def hellinger(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Return the Hellinger distance sqrt(sum (sqrt p - sqrt q)^2 / 2), 0 to 1.

    Examples
    --------
    >>> float(hellinger([1.0, 0.0], [0.0, 1.0]))
    1.0
    """
    a, b = _pair(p, q)
    result: Floats = np.sqrt(0.5 * ((np.sqrt(a) - np.sqrt(b)) ** 2).sum(axis=-1))[()]
    return result


def kl(p: npt.ArrayLike, q: npt.ArrayLike) -> Floats:
    """Return sum p log2(p/q) in bits: inf where ``q`` has no mass on an option of ``p``.

    For counts use :func:`crystal.statistics.smoothing.smoothed_kl`, which names what it does about zeros.

    Examples
    --------
    >>> float(kl([1.0, 0.0], [0.5, 0.5])), float(kl([0.5, 0.5], [1.0, 0.0]))
    (1.0, inf)
    """
    a, b = _pair(p, q)
    value = np.maximum(_kl_terms(a, b).sum(axis=-1), 0.0)
    result: Floats = np.where(((a > 0) & (b == 0)).any(axis=-1), np.inf, value)[()]
    return result


def wasserstein1(
    p: npt.ArrayLike, q: npt.ArrayLike, positions: npt.ArrayLike, period: float | None = None
) -> Floats:
    """Return the Wasserstein-1 distance of distributions over places on a line or a circle.

    Line: the area between the distribution functions. Circle: the same after subtracting their weighted
    median, the best place to cut (Werman, Peleg and Rosenfeld 1985).

    Parameters
    ----------
    p, q : array_like, float64 [..., K]
        Distributions; the leading axes broadcast.
    positions : array_like, float64 [K]
        Places of the options.
    period : float, optional
        Length of the circle; without it the places are on a line.

    Returns
    -------
    ndarray, float64 [...]
        In the unit of ``positions``: 1 between neighbours at distance 1.

    Raises
    ------
    SettingsError
        If places are missing or not finite, or the period is not positive.

    Examples
    --------
    >>> float(wasserstein1([1, 0, 0, 0], [0, 0, 0, 1], [1, 2, 3, 4]))
    3.0
    >>> float(wasserstein1([1, 0, 0, 0], [0, 0, 0, 1], [1, 2, 3, 4], period=4))
    1.0
    """
    a, b = _pair(p, q)
    places = np.asarray(positions, dtype=np.float64)
    if places.shape != (a.shape[-1],) or not np.all(np.isfinite(places)):
        raise SettingsError(
            "every option needs one finite place", where="positions", expected=f"{a.shape[-1]} numbers"
        )
    if period is not None:
        if not (np.isfinite(period) and period > 0):
            raise SettingsError("a period is positive", where="period", got=str(period))
        places = np.mod(places, period)
    order = np.argsort(places, kind="stable")
    gaps = np.diff(places[order])
    ahead = np.cumsum((a - b)[..., order], axis=-1)
    if period is None:
        line: Floats = np.abs(ahead[..., :-1] * gaps).sum(axis=-1)[()]
        return line
    gaps = np.append(gaps, period - (places[order[-1]] - places[order[0]]))
    ahead[..., -1] = 0.0  # the two distribution functions meet at the end, whatever the rounding
    rank = np.argsort(ahead, axis=-1, kind="stable")
    below = np.cumsum(gaps[rank], axis=-1)
    at = (below >= 0.5 * period * (1 - 1e-12)).argmax(axis=-1)[..., None]
    median = np.take_along_axis(ahead, np.take_along_axis(rank, at, -1), -1)
    result: Floats = (np.abs(ahead - median) * gaps).sum(axis=-1)[()]
    return result


class ChainTerms(NamedTuple):
    """The three terms whose sum is the Jensen-Shannon divergence, bits."""

    escape_term: Floats
    """Mass that crosses the edge of the set, in either direction."""
    redistribution: Floats
    """Mass that moves within the set."""
    outside: Floats
    """Mass that moves outside it."""


def chain_rule(p: npt.ArrayLike, q: npt.ArrayLike, mask: npt.ArrayLike) -> ChainTerms:
    """Split the Jensen-Shannon divergence by a set S of options.

    With a = P(S), b = Q(S): JSD = JSD((a,1-a),(b,1-b)) + (a+b)/2 JSD_w(P|S, Q|S; a/(a+b))
    + (2-a-b)/2 JSD_w(P|S', Q|S'; (1-a)/(2-a-b)). With equal-weight JSD inside it would be false.

    Parameters
    ----------
    p, q : array_like, float64 [..., K]
        Distributions.
    mask : array_like, bool [..., K]
        The options of S.

    Returns
    -------
    ChainTerms
        float64 [...] each, all >= 0.

    Examples
    --------
    >>> terms = chain_rule([0.5, 0.5, 0.0], [0.25, 0.25, 0.5], [True, True, False])
    >>> [round(float(term), 3) for term in terms]
    [0.311, 0.0, 0.0]
    """
    a, b = _pair(p, q)
    inside = np.broadcast_to(np.asarray(mask, dtype=bool), a.shape)
    inner = _part(a, b, inside)
    outer = _part(a, b, ~inside)
    edges = [np.stack([np.where(s, x, 0.0).sum(axis=-1) for s in (inside, ~inside)], axis=-1) for x in (a, b)]
    return ChainTerms(_half_js(edges[0], edges[1])[()], inner[()], outer[()])


def _part(a: Floats, b: Floats, inside: npt.NDArray[np.bool_]) -> Floats:
    """(a(S)+b(S))/2 times the weighted JSD of the conditional distributions.

    The factors cancel: what is left is the sum over S of p/2 log2[(p/m) / (a(S)/m(S))], and the same of q.
    """
    result = np.zeros(a.shape[:-1])
    middle = np.where(inside, 0.5 * (a + b), 0.0)
    total = middle.sum(axis=-1, keepdims=True)
    for x in (a, b):
        own = np.where(inside, x, 0.0)
        mass = own.sum(axis=-1, keepdims=True)
        share = np.divide(mass, total, out=np.ones_like(mass), where=total > 0)
        result = result + 0.5 * _kl_terms(own, middle * share).sum(axis=-1)
    return np.maximum(result, 0.0)


def divergence_matrix(
    p: npt.ArrayLike,
    kind: Kind = "js",
    *,
    other: npt.ArrayLike | None = None,
    positions: npt.ArrayLike | None = None,
    period: float | None = None,
    threads: int = 0,
) -> Floats:
    """Return the divergence of every row from every other, or from every row of another table.

    ``js`` and ``hellinger`` are compiled (:mod:`crystal.ops.divergence_matrix`) and keep their relative
    accuracy for rows that are nearly equal.

    Parameters
    ----------
    p : array_like, float64 or float32 [m, K]
        Distributions.
    kind : {"js", "tv", "hellinger", "kl", "wasserstein1"}
        ``kl`` is not symmetric: entry (i, j) is KL(p_i || p_j), inf where supports do not allow it.
    other : array_like, float64 or float32 [n, K], optional
        Distributions over the same options; without them ``p`` is compared with itself.
    positions, period
        Places of the options, for ``wasserstein1`` alone: see :func:`wasserstein1`.
    threads : int
        0 means CRYSTAL_THREADS, else all cores; for ``js`` and ``hellinger``.

    Returns
    -------
    ndarray, float64 [m, m], or [m, n] with ``other``
        Bits for ``js`` and ``kl``; the diagonal is zero without ``other``.

    Raises
    ------
    SettingsError
        If the kind is unknown or lacks its places.
    InputError
        If a row is no distribution.

    Examples
    --------
    >>> divergence_matrix([[1.0, 0.0], [0.0, 1.0]], kind="tv").tolist()
    [[0.0, 1.0], [1.0, 0.0]]
    """
    rows = as_probabilities(p, ndim=2)
    if kind not in get_args(Kind):
        raise SettingsError(
            "unknown divergence", where="kind", expected=", ".join(get_args(Kind)), got=repr(kind)
        )
    if kind == "wasserstein1" and positions is None:
        raise SettingsError("a Wasserstein distance needs the places of the options", where="positions")
    columns = None if other is None else as_probabilities(other, "other", ndim=2)
    if columns is not None and columns.shape[1] != rows.shape[1]:
        raise SettingsError(
            "two tables have different options",
            where="other",
            expected=str(rows.shape[1]),
            got=str(columns.shape[1]),
        )
    if kind == "js":
        return js_matrix(rows, columns, threads=threads)
    if kind == "hellinger":
        return hellinger_matrix(rows, columns, threads=threads)
    right = rows if columns is None else columns
    result = np.zeros((len(rows), len(right)))
    for index, row in enumerate(rows):
        if kind == "wasserstein1":
            result[index] = wasserstein1(row, right, positions if positions is not None else (), period)
        else:
            result[index] = {"tv": tv, "kl": kl}[kind](row, right)
    if columns is None:
        if kind != "kl":  # rounding must not tell (i, j) from (j, i)
            result = 0.5 * (result + result.T)
        np.fill_diagonal(result, 0.0)
    return result


def _pair(p: npt.ArrayLike, q: npt.ArrayLike) -> tuple[Floats, Floats]:
    a, b = as_probabilities(p, "p"), as_probabilities(q, "q")
    if a.shape[-1] != b.shape[-1]:
        raise SettingsError(
            "two distributions have different options", expected=str(a.shape[-1]), got=str(b.shape[-1])
        )
    first, second = np.broadcast_arrays(a, b)
    return first, second
