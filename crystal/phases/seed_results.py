"""What a search for a seed found, as ``report.json`` holds it (see :mod:`crystal.phases.results`)."""

from __future__ import annotations

from typing import Literal

import msgspec

SeedKind = Literal["one", "blend", "sharpened", "none", "undetermined"]


class SeedResult(msgspec.Struct, kw_only=True):
    """Which base distribution the tuned behaviour is, if any."""

    kind: SeedKind
    found: bool | None = None
    base: str | None = None
    """The base checkpoint that was searched, and the tuned one that was looked for."""
    tuned: str | None = None
    prompt: str | None = None
    """The base prompt nearest to the tuned behaviour among those that are the seed or its twins."""
    alike: list[str] = []
    """Its twins: base prompts that the samples do not tell from it; the seed may be any of them."""
    weights: dict[str, float] = {}
    """Weights of the fitted blend, by base prompt."""
    max_weight: float | None = None
    """Weight of the seed together with its twins."""
    max_weight_low: float | None = None
    residual: float | None = None
    """What the blend leaves unexplained (JSD in bits)."""
    residual_share: float | None = None
    """The same, as a share of the mean pairwise JSD of the base's distributions."""
    one_vs_blend: float | None = None
    """What the blend explains beyond the seed alone: KL(tuned || seed) - KL(tuned || blend), in bits."""
    alpha: float | None = None
    """Sharpening: the tuned distribution is the seed's to this power."""
    alpha_low: float | None = None
    alpha_high: float | None = None
    match: float | None = None
    """1 - JSD(seed) / mean JSD of the other base prompts."""
    p: float | None = None
    reason: str | None = None
