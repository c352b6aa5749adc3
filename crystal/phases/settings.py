"""What a classification was asked to do: significance, margins, draws. They stand in every report."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Literal, NoReturn, get_args

import msgspec

from crystal.errors import SettingsError

ChangeMethod = Literal["cuts", "arnold-linear", "arnold-tv", "arnold-js"]


class Margins(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes below which a change is not worth a verdict.

    Distribution-level quantities are in bits. ``docs/concepts.md`` says where each number comes from.
    """

    liquid: float = 0.1
    """Promptability (bits) above which a checkpoint is liquid: below, prompts move under 19 % of the mass."""
    promptability_change: float = 0.05
    """Smallest change of promptability (bits) that counts: delta_I."""
    collapse_ratio: float = 0.5
    """A collapse leaves less than this share of the base's promptability."""
    jsd: float = 0.01
    """Jensen-Shannon divergence (bits) below which two checkpoints are the same: delta_J."""
    entropy_change: float = 0.1
    """Smallest change of entropy that counts, as a share of log2 K for a closed list: delta_H."""
    entropy_change_open: float = 0.25
    """The same in bits, where the option list is open."""
    retention: float = 0.1
    """Mass that may leave the earlier checkpoint's options: delta_R."""
    seed_weight: float = 0.5
    """A seed outweighs all other base distributions together."""
    seed_residual: float = 1 / 3
    """Largest unexplained divergence, as a share of the mean pairwise JSD of the base's distributions."""
    validity: float = 0.5
    """Smallest on-task share at which a distribution speaks for the checkpoint."""
    validity_change: float = 0.2
    """Change of validity beyond which verdicts are checked against worst-case bounds."""
    min_valid: int = 10
    """Smallest number of valid samples a prompt."""
    promptability_coverage: float = 0.8
    """Smallest mean sample coverage at which promptability is given as a number."""

    def __post_init__(self) -> None:
        """Refuse margins that are no sizes."""
        for name in self.__struct_fields__:
            where = f"margins.{name}"
            value = _put(self, name, int if name == "min_valid" else float, where)
            if not 0 <= value < float("inf"):
                raise SettingsError(
                    "a margin is not a size", where=where, expected="0 or more", got=str(value)
                )


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How :func:`crystal.classify` decides.

    Settings never change once made; ``msgspec.structs.replace`` makes others from them. All but ``threads``
    stand in the report.

    Examples
    --------
    >>> Settings(alpha=0.01, margins=Margins(liquid=0.2)).margins.liquid
    0.2
    """

    alpha: float = 0.05
    """Level of every test and, as 1 - alpha, of every interval; in (0, 0.5)."""
    seed: int = 0
    """Seed of the counter-based generator; the same seed gives the same bytes for any number of threads."""
    draws: int = 19_999
    """Most Monte Carlo draws of a permutation test."""
    exceedances: int = 20
    """Besag-Clifford: a permutation test stops at this many draws at least as extreme as the data."""
    interval_draws: int = 400
    """Draws for each grid point of an interval by test inversion."""
    splits: int = 200
    """Random halves over which a seed is selected and scored."""
    simulations: int = 200
    """Simulated data sets behind each ``needs_samples``."""
    retention_mass: float = 0.9
    """The option set of a checkpoint holds this share of its samples."""
    change_points: ChangeMethod = "cuts"
    """How transitions of a long ladder are found: by cuts, or by the scan of Arnold et al. (2405.17088)."""
    change_window: int = 5
    """Checkpoints on each side of a cut that the scan compares."""
    allow_decoding: bool = False
    """Compare checkpoints that were sampled with different decoding settings."""
    order: tuple[str, ...] = ()
    """Order of the checkpoints by name, where steps and stages do not give one."""
    threads: int = 0
    """Threads of the compiled core; 0 means CRYSTAL_THREADS, else all cores. Never changes a result."""
    margins: Margins = msgspec.field(default_factory=Margins)

    def __post_init__(self) -> None:
        """Refuse values of another type, and those under which no verdict means anything."""
        _within("alpha", _put(self, "alpha", float), 0.0, 0.5)
        _within("retention_mass", _put(self, "retention_mass", float), 0.0, 1.0)
        if self.change_points not in get_args(ChangeMethod):
            _misfit("change_points", ", ".join(get_args(ChangeMethod)), self.change_points)
        order: object = self.order
        if not isinstance(order, list | tuple) or not all(isinstance(name, str) for name in order):
            _misfit("order", "names of checkpoints, one after the other", order)
        msgspec.structs.force_setattr(self, "order", tuple(order))
        if not isinstance(self.margins, Margins):
            _misfit("margins", "crystal.phases.settings.Margins", self.margins)
        for name, least in _LEAST.items():
            value = _put(self, name, int)
            if value < least:
                raise SettingsError(
                    "a setting is too small", where=name, expected=f"{least:,} or more", got=str(value)
                )
        if self.seed >= 2**64:
            raise SettingsError(
                "a setting is too large", where="seed", expected="below 2^64", got=str(self.seed)
            )


_LEAST = {
    "seed": 0,
    "draws": 19,
    "exceedances": 1,
    "interval_draws": 20,
    "splits": 2,
    "simulations": 1,
    "change_window": 1,
    "threads": 0,
}


def _put(settings: msgspec.Struct, name: str, kind: type[int | float], where: str | None = None) -> float:
    """Return a number of the settings; NumPy's becomes Python's, which a report can hold."""
    value = getattr(settings, name)
    fits = isinstance(value, Integral if kind is int else Real)
    if not fits:
        _misfit(where or name, "a whole number" if kind is int else "a number", value)
    plain = kind(value)
    msgspec.structs.force_setattr(settings, name, plain)
    return plain


def _misfit(name: str, expected: str, value: object) -> NoReturn:
    raise SettingsError("a setting has another type", where=name, expected=expected, got=repr(value))


def _within(name: str, value: float, low: float, high: float) -> None:
    if not low < value < high:
        raise SettingsError(
            "a setting is outside its range",
            where=name,
            expected=f"between {low:g} and {high:g}, both excluded",
            got=str(value),
        )
