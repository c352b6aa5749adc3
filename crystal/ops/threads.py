"""How many threads there are: one answer for the compiled core and for Python."""

from __future__ import annotations

from crystal.ops.core import load


def available() -> int:
    """Return how many cores this process may run on: its affinity where the system tells it, else all."""
    return int(load().available_threads())


def count(requested: int = 0) -> int:
    """Return how many threads a setting stands for.

    Parameters
    ----------
    requested : int
        0 means CRYSTAL_THREADS where it is a positive number, else :func:`available`.

    Examples
    --------
    >>> count(3)
    3
    """
    return int(load().thread_count(requested))
