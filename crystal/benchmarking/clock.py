"""Races: ours and others in turns, in CPU seconds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, NamedTuple

from crystal.benchmarking.machine import version_of
from crystal.benchmarking.results import Peer, Timing


class Rival(NamedTuple):
    """A peer, to be imported only if it is to run."""

    package: str
    """The distribution's name."""
    module: str
    prepare: Callable[[Any], Callable[[], Any]]
    """From the imported module to the call that is timed."""


def race(
    ours: Callable[[], Any],
    rivals: Mapping[str, Rival],
    same: Callable[[Any, Any], bool],
    *,
    seconds: float,
) -> tuple[Timing, list[Peer]]:
    """Time a call and its rivals, one round of each in turn.

    Parameters
    ----------
    ours : callable
    rivals : mapping of str to Rival
    same : callable
        Told our answer and a rival's: only a rival with the same answer is timed.
    seconds : float
        About how long the rounds go on, over all that take part; two rounds at least.

    Returns
    -------
    Timing, list of Peer
    """
    answer = ours()
    calls: dict[str, Callable[[], Any]] = {}
    peers: dict[str, Peer] = {}
    for name, rival in rivals.items():
        version = version_of(rival.package)
        if version is None:
            peers[name] = Peer(name, "absent")
            continue
        call = rival.prepare(import_module(rival.module))
        if same(answer, call()):
            calls[name] = call
        else:
            peers[name] = Peer(name, "wrong", version)
    del answer
    timings = _rounds({"": ours, **calls}, seconds)
    for name in calls:
        timing = timings[name]
        ratio = timing.cpu_seconds / timings[""].cpu_seconds
        peers[name] = Peer(name, "timed", version_of(rivals[name].package), timing, ratio)
    return timings[""], [peers[name] for name in rivals]


def _rounds(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Timing]:
    best: dict[str, tuple[float, float]] = {}
    begin, rounds = time.perf_counter(), 0
    while rounds < 2 or time.perf_counter() - begin < seconds:
        for name, call in calls.items():
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            # A clock that stands still must not make a rate infinite.
            spent = (max(time.process_time() - cpu, 1e-9), max(time.perf_counter() - wall, 1e-9))
            best[name] = min(best.get(name, spent), spent)
        rounds += 1
    return {name: Timing(cpu, wall, rounds) for name, (cpu, wall) in best.items()}
