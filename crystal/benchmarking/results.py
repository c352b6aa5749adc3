"""What a benchmark found, as data."""

from __future__ import annotations

import msgspec


class Timing(msgspec.Struct, frozen=True):
    """The best of some rounds, by CPU seconds: what a busy machine changes least."""

    cpu_seconds: float
    wall_seconds: float
    """Of the same round."""
    rounds: int

    @property
    def cores(self) -> float:
        """Cores obtained: CPU seconds a second."""
        return self.cpu_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0


class Peer(msgspec.Struct, frozen=True):
    """Another implementation: timed if it is installed and its answer is right."""

    name: str
    state: str
    """``timed``, ``absent`` or ``wrong``."""
    version: str | None = None
    timing: Timing | None = None
    ratio: float | None = None
    """CPU seconds of the peer for one of crystal's; above 1 crystal is faster."""


class Operation(msgspec.Struct, frozen=True):
    """One operation on one input."""

    name: str
    title: str
    unit: str
    items: int
    """How many of the unit one call handles."""
    nbytes: int
    """Bytes of input that one call reads."""
    timing: Timing
    peers: list[Peer] = []

    @property
    def rate(self) -> float:
        """Items a CPU second."""
        return self.items / self.timing.cpu_seconds


class Whole(msgspec.Struct, frozen=True):
    """Reading and counting a log of one size."""

    format: str
    samples: int
    file_bytes: int
    timing: Timing
    peak_bytes: int | None
    """Most memory of a process that does nothing else, libraries included; None if unknown."""
    peers: list[Peer] = []


class Analysis(msgspec.Struct, frozen=True):
    """The whole job, once: reading, counting, tests, intervals, verdicts, and the report on disk."""

    tasks: int
    checkpoints: int
    prompts: int
    samples: int
    counting: Timing
    """Reading and counting alone."""
    timing: Timing
    """All of it, helper processes too."""
    peak_bytes: int | None
    """Most memory of its process, helpers apart; None where the system does not say."""

    @property
    def rate(self) -> float:
        """Samples a second of the clock."""
        return self.samples / self.timing.wall_seconds


class Findings(msgspec.Struct, frozen=True):
    """One run of ``crystal bench``."""

    schema_version: str
    machine: dict[str, str]
    operations: list[Operation]
    whole: list[Whole]
    slopes: dict[str, float]
    """For each format, d log(CPU seconds) / d log(samples) over all sizes: 1 is linear."""
    analysis: Analysis | None
