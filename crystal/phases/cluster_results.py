"""Clusters of a task's distributions as they stand in the report."""

from __future__ import annotations

import msgspec


class ClusterTest(msgspec.Struct, kw_only=True):
    """Whether so many clusters are enough."""

    k: int
    p: float
    """(draws of the null that fall apart as far as the data + 1) / (draws + 1)."""
    draws: int


class Cluster(msgspec.Struct, kw_only=True):
    """Cells whose answers are distributed alike. A cell is one prompt at one checkpoint."""

    cells: dict[str, int]
    """How many prompts of each checkpoint lie in it; checkpoints without any are not named."""
    samples: int | None = None
    """Valid samples behind it; None where distributions are exact."""
    distribution: dict[str, float]
    """Its likeliest options, at most eight, and their probabilities in its mean distribution."""


class ClusterResult(msgspec.Struct, kw_only=True):
    """The cells of a task in clusters."""

    exact: bool
    """What a cluster is. Of samples: one distribution, as far as they can tell. Of exact distributions: some
    of which no two are as far apart as the margin of the JSD."""
    k: int
    """How many there are. Of samples, the first number whose null is kept at alpha, or 10 if none is; 0 where
    there is a reason not to."""
    tests: list[ClusterTest] = []
    """The nulls of 1, 2, ... clusters, up to the one that is kept; none where exact."""
    stability: float | None = None
    """Mean adjusted Rand index with the clusters of 0.8 of the cells; None for one cluster, and where
    exact."""
    within: float | None = None
    """Bits that cells tell about answers beyond their clusters."""
    clusters: list[Cluster] = []
    """Numbers 1, 2, ..., in the order of their first cells."""
    prompts: list[str] = []
    families: list[str] = []
    """The family of each prompt, empty where it has none."""
    cells: dict[str, list[int | None]] = {}
    """By checkpoint, the number of each prompt's cluster; None for a cell that takes no part."""
    seed: int | None = None
    """The cluster of the seed's prompt at the base, where a seed was found."""
    left_out: int = 0
    """Cells that have samples or probabilities and take no part."""
    reason: str | None = None
    """Why there are no clusters, or why cells take no part."""
