"""The seed: which of the base's distributions the tuned behaviour is, a blend of them, or none."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from crystal.errors import InputError, SettingsError
from crystal.ops.resampling import stream_key
from crystal.phases.rows import Rows, seen_options
from crystal.phases.seed_results import SeedResult
from crystal.phases.seed_search import Search, unknown
from crystal.phases.settings import Settings
from crystal.states.tables import LARGEST_SUM


def find_seed(
    base: npt.ArrayLike,
    tuned: npt.ArrayLike,
    *,
    prompts: Sequence[str] | None = None,
    seed: int = 0,
    settings: Settings | None = None,
    words: Sequence[str | int] = (),
) -> SeedResult:
    """Find the base distribution that the tuned behaviour is.

    Base distributions that cannot be told apart are merged. The one nearest to the tuned behaviour is
    chosen on half of the samples and scored on the other half (20 splits, each used both ways, medians). A
    blend of all of them is fitted by EM, and base *and* tuned samples are drawn anew 200 times from that
    fit and fitted again, which shows what noise alone leaves unexplained and how much weight it moves.

    ``one``: the nearest outweighs all others together (lower limit of its weight above 1/2), the blend
    leaves at most 1/3 of the base's mean pairwise JSD unexplained (upper limit), and it is nearer than the
    base's average. ``sharpened``: a power alpha > 1 of the nearest one fits within that margin where no
    blend does. ``blend``: the blend fits, and none outweighs the rest (upper limit). ``none``: neither a
    blend nor a power fits (lower limits). ``undetermined``: the samples or prompts cannot say, with the
    reason.

    Parameters
    ----------
    base : array_like, [m, K]
        Counts (an integer type), or exact probabilities (a floating type, rows with sum 1 or a little less),
        a row a prompt.
    tuned : array_like, [m', K] or [K]
        The same for the tuned checkpoint, over the same options; the prompts may be others.
    prompts : sequence of str, optional
        Names of the base's rows; the default is their numbers.
    seed : int
        Seed of the counter-based generator. ``settings.seed`` is not used.
    settings : Settings, optional
        Level and margins.
    words : sequence of str or int
        Further words of the random stream, such as the task, so that two searches do not share noise.

    Returns
    -------
    SeedResult
        ``prompt`` and ``weights`` name a cluster of twins by its member nearest to the tuned behaviour;
        ``alike`` has the seed's other members, nearest first: few samples do not tell which of them it is.
        Weights under .0005 are left out. ``p`` is that of the blend's residual under the bootstrap.
        ``found`` is True for one and sharpened, False for blend and none.

    Raises
    ------
    InputError
        For shapes that do not match, negative or non-finite values, or rows that are neither counts nor
        probabilities.
    SettingsError
        If ``prompts`` does not name every row of ``base``.

    Examples
    --------
    >>> base = [[90, 5, 5], [5, 90, 5], [5, 5, 90], [40, 40, 20]]
    >>> result = find_seed(base, [88, 7, 5], prompts=["poet", "clerk", "child", "nobody"])
    >>> result.kind, result.prompt
    ('one', 'poet')
    """
    settings = settings or Settings()
    pool_rows, kept = _rows(base, "base", settings.margins.min_valid)
    target, _ = _rows(tuned, "tuned", settings.margins.min_valid)
    total = len(np.atleast_2d(np.asarray(base)))
    names = [str(i) for i in range(total)] if prompts is None else [str(name) for name in prompts]
    if len(names) != total:
        raise SettingsError(
            "every base row needs a name", where="prompts", expected=str(total), got=str(len(names))
        )
    if pool_rows.p.shape[1] != target.p.shape[1]:
        raise InputError(
            "base and tuned have different options",
            where="find_seed",
            expected=f"{pool_rows.p.shape[1]} options",
            got=str(target.p.shape[1]),
        )
    least = settings.margins.min_valid
    if len(target.p) == 0:
        return unknown(f"no tuned prompt has {least} valid samples")
    if len(pool_rows.p) < 2:
        return unknown(f"{len(pool_rows.p)} base prompts with {least} valid samples; 2 are needed")
    key = stream_key("find_seed", *words)
    pool_rows, target = seen_options(pool_rows, target)
    return Search(pool_rows, [names[i] for i in kept], target, settings, seed, key).result()


def _rows(values: npt.ArrayLike, where: str, least: int) -> tuple[Rows, npt.NDArray[np.intp]]:
    """Read counts or probabilities; returns the usable rows and their places."""
    array = np.atleast_2d(np.asarray(values))
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "iuf":
        raise InputError(
            "not a table of distributions",
            where=where,
            expected="numbers [prompts, options]",
            got=f"{array.dtype} {list(array.shape)}",
        )
    if not (np.isfinite(array).all() and (array >= 0).all()):
        raise InputError("values must be finite and not negative", where=where)
    sums = array.sum(axis=1)
    if array.dtype.kind == "f":
        if (sums > LARGEST_SUM).any():
            raise InputError(
                "a row is no distribution",
                where=where,
                expected="probabilities with sum 1, or counts of an integer type",
                got=f"a sum of {sums.max():g}",
            )
        kept = np.flatnonzero(sums > 0)
        return Rows(array[kept].astype(np.float64) / sums[kept, None], None), kept
    kept = np.flatnonzero(sums >= max(least, 1))
    return Rows.sampled(array[kept].astype(np.int64)), kept
