"""The steps of a seed search: merge twins, choose, fit the blend, ask what noise does, name the kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from crystal.ops.resampling import stream_key
from crystal.phases.cooling import Cooling, far_from_powers, fit_cooling
from crystal.phases.crossfit import TOLERANCE, Fold, Scores, blend_weights, leaning, split_scores, whole
from crystal.phases.rows import Floats, Rows, centre_of, pairwise_jsd, redraw, smooth
from crystal.phases.seed_results import SeedKind, SeedResult
from crystal.phases.settings import Settings
from crystal.phases.twins import merge_twins, pool
from crystal.statistics.divergence import js_divergence
from crystal.statistics.special import LN2, normal_quantile

SPLITS = 20
DRAWS = 200
FOUND: dict[SeedKind, bool] = {"one": True, "sharpened": True, "blend": False, "none": False}
"""What a kind says of the question whether there is a seed; the others leave it open."""
_WEIGHT_SHOWN = 5e-4
_JOINT_STEPS = 60
_MOST_SAMPLES = 1e6
_SURE = 7.0


def unknown(reason: str) -> SeedResult:
    """Return the result that says only why there is none."""
    return SeedResult(kind="undetermined", reason=reason)


@dataclass(frozen=True)
class _Fit:
    """The blend of all clusters, with what the bootstrap says of it."""

    weights: Floats
    low: float
    """One-sided lower limit of the seed's weight."""
    high: float
    """One-sided upper limit of the largest weight that a row has in any blend that fits as well."""
    residual: float
    residual_low: float
    residual_high: float
    p: float | None


def joint_blend(
    base: Rows, rows: Floats, weights: Floats, target: Floats, size: float
) -> tuple[Floats, Floats]:
    """Return rows [R, K] and weights [R] under which base and target samples are most likely together (EM).

    Exact rows stay as they are. ``size`` is the number of the target's samples.
    """
    counts, centre = base.counts, centre_of(base.p)[0]
    for _ in range(_JOINT_STEPS):
        parts = weights[:, None] * rows
        parts *= size * target / np.maximum(parts.sum(axis=0), 1e-300)
        weights = parts.sum(axis=1) / parts.sum()
        if counts is not None:
            total = counts + parts + centre
            rows = total / total.sum(axis=1, keepdims=True)
    return rows, weights


def most_left(options: int, noise: float) -> float:
    """Return the bits that a fit to samples of a true blend leaves at most, at 7 normal deviates.

    A JSD is at most half of either divergence, the fit leaves no more of it than the true weights do, and
    twice that is chi-squared times ``noise``, one over the target's samples and one over those of a row.
    """
    spread = 2.0 / (9.0 * max(options - 1, 1))  # Wilson and Hilferty 1931
    limit = max(options - 1, 1) * (1.0 - spread + _SURE * spread**0.5) ** 3
    return float(limit * noise / (4.0 * LN2)) + TOLERANCE


class Search:
    """One search: the steps of :func:`find_seed`, in order."""

    def __init__(
        self, base: Rows, names: list[str], target: Rows, settings: Settings, seed: int, key: int
    ) -> None:
        self.settings = settings
        self.seed, self.key = seed, key
        self.level = normal_quantile(1 - settings.alpha)
        self.labels = merge_twins(base, settings, key)
        self.prompts = base
        self.base, self.target = pool(base, self.labels), target
        near = whole(base, target).distances()[0]
        self.members = [
            [names[i] for i in sorted(np.flatnonzero(self.labels == c), key=lambda i: (near[i], i))]
            for c in range(len(self.base.p))
        ]
        self.names = [members[0] for members in self.members]
        distances = pairwise_jsd(self.base)
        pairs = len(distances) * (len(distances) - 1)
        self.spread = float(distances.sum() / pairs) if pairs else 0.0

    def found(self) -> bool | None:
        """Say if there is a seed, by the rule of :meth:`result`; what it does not need is not computed."""
        return None if self._alike() else FOUND.get(self._kind[0])

    def result(self) -> SeedResult:
        """Search, and say what was found."""
        if self._alike():
            return unknown(
                "the base's distributions cannot be told apart, so none of them can be singled out"
            )
        chosen, distance, fit, cooling = self._chosen, self._distance, self._blend, self._power
        kind, reason = self._kind
        average = float(np.delete(distance, chosen).mean())
        return SeedResult(
            kind=kind,
            found=FOUND.get(kind),
            prompt=self.names[chosen],
            alike=self.members[chosen][1:],
            weights={
                name: float(w) for name, w in zip(self.names, fit.weights, strict=True) if w >= _WEIGHT_SHOWN
            },
            max_weight=float(fit.weights[chosen]),
            max_weight_low=fit.low,
            residual=fit.residual,
            residual_share=fit.residual / self.spread,
            one_vs_blend=self._one_vs_blend(chosen, fit.weights),
            alpha=cooling.alpha if cooling else None,
            alpha_low=cooling.low if cooling else None,
            alpha_high=cooling.high if cooling else None,
            match=1.0 - float(distance[chosen]) / average if len(distance) >= 3 and average > 0 else None,
            p=self._fits_p(),
            reason=reason,
        )

    def _alike(self) -> bool:
        return len(self.base.p) < 2 or self.spread < self.settings.margins.jsd

    @cached_property
    def _scores(self) -> Scores:
        alone = np.eye(len(self.base.p), dtype=bool)
        return split_scores(self.base, self.target, alone, SPLITS, self.seed, self.key, self.settings.threads)

    @cached_property
    def _distance(self) -> Floats:
        result: Floats = np.median(self._scores.distances, axis=0)
        return result

    @cached_property
    def _chosen(self) -> int:
        votes = np.bincount(self._scores.chosen, minlength=len(self._distance))
        return int(np.lexsort((self._distance, -votes))[0])

    @cached_property
    def _blend(self) -> _Fit:
        return self._fit(self.base, self._chosen)

    @cached_property
    def _power(self) -> Cooling | None:
        return self._cooling(self.base, self._chosen)

    def _fit(self, base: Rows, chosen: int) -> _Fit:
        """Fit the blend to all samples, and again to data drawn from that fit."""
        threads = self.settings.threads
        rows, q = smooth(base.whole), self.target.p.mean(axis=0)
        # With more rows than options many blends fit alike. A row outweighs the others if it does in one of
        # them, so every row is leaned on once.
        starts = leaning(np.eye(len(rows), dtype=bool))
        leant = blend_weights(np.repeat(q[None], len(rows), axis=0), rows, starts, threads)
        weights = leant[chosen]
        blend = weights @ rows
        residual = float(js_divergence(blend, q))
        own, most = float(weights[chosen]), float(leant.diagonal().max())
        if base.exact and self.target.exact:
            return _Fit(weights, own, most, residual, residual, residual, None)
        truth = np.repeat(blend[None], len(self.target.p), axis=0)
        again = Fold(
            self._again(base, rows, stream_key("again base", self.key)),
            self._again(self.target, truth, stream_key("again tuned", self.key)),
        )
        redrawn = smooth(again.base)
        refits = blend_weights(again.target, redrawn, np.repeat(starts[[chosen]], DRAWS, axis=0), threads)
        null = np.asarray(js_divergence(np.einsum("sr,srk->sk", refits, redrawn), again.target))
        # Weights that noise takes from the true seed in the draws, it took in the data: the basic bootstrap.
        shift = refits - weights
        low = own - float(np.quantile(shift[:, chosen], 1 - self.settings.alpha))
        high = max(most, float((weights - np.quantile(shift, self.settings.alpha, axis=0)).max()))
        net = residual - float(null.mean())
        # Away from its null a divergence is noisier than at it; the halves show how much.
        error = self.level * max(float(null.std()), float(np.std(self._scores.residual)))
        p = float((np.sum(null >= residual) + 1) / (len(null) + 1))
        low, high = min(max(low, 0.0), 1.0), min(max(high, 0.0), 1.0)
        return _Fit(weights, low, high, max(net, 0.0), net - error, net + error, p)

    def _fits_p(self) -> float | None:
        """Test the hypothesis that the tuned behaviour is a blend of the prompts, none of them merged.

        Were it one, the tuned samples would show the prompts' own distributions too, so the bootstrap draws
        from a fit to both: from the base's samples alone, options that a prompt has by chance not shown count
        against the blend (p < .05 in 14 to 80 % of draws). A seed alone is a blend that leaves a little more
        than its fit does, whose weights noise has spread: the larger p of the two counts. Where no draw would
        leave as much as the data do, none is made.
        """
        base, threads = self.prompts, self.settings.threads
        if base.exact and self.target.exact:
            return None
        rows, q = smooth(base.whole), self.target.p.mean(axis=0)

        def left(base_rows: Floats, target: Floats) -> Floats:
            found = blend_weights(target, base_rows, None, threads)
            return np.asarray(js_divergence(np.einsum("sr,srk->sk", found, base_rows), target))

        weights = blend_weights(q[None], rows, None, threads)[0]
        size = min(float(np.max(whole(base, self.target).target_size)), _MOST_SAMPLES)
        residual, found = float(js_divergence(weights @ rows, q)), []
        noise = 1.0 / size + (0.0 if base.exact else 1.0 / float(base.sizes.min()))
        if residual > most_left(len(q), noise):
            return 1.0 / (DRAWS + 1)
        alone = np.eye(len(rows))[int(whole(base, self.target).distances()[0].argmin())]
        for start in (weights, alone):
            truth, blend = joint_blend(base, rows, start, q, size)
            tuned = np.repeat((blend @ truth)[None], len(self.target.p), axis=0)
            again = Fold(
                self._again(base, truth, stream_key("p base", self.key)),
                self._again(self.target, tuned, stream_key("p tuned", self.key)),
            )
            null = left(smooth(again.base), again.target)
            found.append(float((np.sum(null >= residual) + 1) / (len(null) + 1)))
        return max(found)

    def _again(self, rows: Rows, truth: Floats, key: int) -> npt.NDArray[np.int64] | Floats:
        return redraw(
            rows, truth, rows.whole.sum(axis=1).astype(np.int64), DRAWS, self.seed, key, self.settings.threads
        )

    def _blind(self) -> bool:
        """Whether so much is unseen that nothing can be refuted: rows look more different than they are."""
        least = self.settings.margins.promptability_coverage
        return min(self.prompts.coverage, self.target.coverage) < least

    def _crowded(self) -> bool:
        """Whether the seed stands for most prompts only because too little is seen to tell them apart.

        Their pooled samples are then the base's average as much as any of its distributions.
        """
        return self._blind() and 2 * len(self.members[self._chosen]) > len(self.prompts.p)

    @cached_property
    def _kind(self) -> tuple[SeedKind, str | None]:
        alpha, half = self.settings.alpha, self.settings.margins.seed_weight
        margin = self.settings.margins.seed_residual * self.spread
        fit, scores = self._blend, self._scores
        fits = fit.residual_high <= margin
        near = float(np.mean(scores.distances[:, self._chosen] < scores.average)) >= 1 - alpha
        one = fits and fit.low > half and near
        # A cooled row may also lie within the hull of the others; then one row explains what many do.
        if one or ((near or not fits) and self._cooled(margin)):
            if self._crowded():
                return (
                    "undetermined",
                    "too much is unseen to tell most of the base's prompts from one another",
                )
            return ("one" if one else "sharpened"), None
        if self._blind():
            return "undetermined", "too much of the distributions is unseen to refute a seed"
        if fits and fit.high < half:
            return "blend", None
        if self._unexplained(fit, margin) and self._nothing_near(margin):
            return "none", "no blend of the base's tested prompts comes near the tuned behaviour"
        if not fits:
            return "undetermined", "too few samples to say what the base's prompts leave unexplained"
        if fit.low <= half:
            return "undetermined", "too few samples to say whether one base prompt outweighs the others"
        return "undetermined", "the nearest base prompt is not shown to be nearer than the base's average"

    def _cooling(self, base: Rows, row: int) -> Cooling | None:
        key = stream_key("cooling", self.key, row)
        return fit_cooling(
            base, row, self.target, self.settings.alpha, DRAWS, self.seed, key, self.settings.threads
        )

    def _cooled(self, margin: float) -> bool:
        power = self._power
        return power is not None and power.residual_high <= margin and power.low > 1.0

    def _unexplained(self, fit: _Fit, margin: float) -> bool:
        return fit.residual_low > margin and (fit.p is None or fit.p < self.settings.alpha)

    def _nothing_near(self, margin: float) -> bool:
        """Whether neither a blend nor a power of the prompts' own distributions comes near, twins unmerged.

        What few samples cannot tell apart need not be equal, so a merged row may hide one that fits.
        """
        merged = len(self.base.p) < len(self.prompts.p)
        if merged and not self._unexplained(self._fit(self.prompts, 0), margin):
            return False
        near = np.flatnonzero(~far_from_powers(self.prompts, self.target, margin))
        powers = (self._cooling(self.prompts, int(row)) for row in near)
        return all(fit is None or fit.residual_low > margin or fit.high <= 1.0 for fit in powers)

    def _one_vs_blend(self, chosen: int, weights: Floats) -> float:
        """KL(q || x*) - KL(q || blend) in bits: what the blend gains over the seed alone."""
        rows, q = smooth(self.base.whole), self.target.p.mean(axis=0)
        return float((q * np.log2((weights @ rows) / rows[chosen])).sum())
