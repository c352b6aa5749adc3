"""Ways to write an option, and the probability of each option from those of the ways."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from crystal.errors import InputError
from crystal.tasks.task import Task

Path = tuple[object, ...]
"""Tokens of one way to write an option, as ids or as texts."""


def forms(task: Task, prompt: str) -> dict[str, str]:
    """Return the texts that stand for an option behind a prompt, each with its option.

    An option is written as listed, in lower case, and with a capital first letter; each with a space before
    it and without. Behind a prompt that ends with white space there is no further space.

    Examples
    --------
    >>> coin = Task(id="coin", options=("heads", "tails"))
    >>> forms(coin, "Result:")
    {' heads': 'heads', 'heads': 'heads', ' Heads': 'heads', 'Heads': 'heads', ' tails': 'tails', ...}
    """
    gaps = ("",) if prompt[-1:].isspace() else (" ", "")
    found: dict[str, str] = {}
    for cased in (str, str.lower, lambda option: option[:1].upper() + option[1:]):
        for option in task.options:
            for gap in gaps:
                found.setdefault(gap + cased(option), option)
    rank = {option: i for i, option in enumerate(task.options)}
    return dict(sorted(found.items(), key=lambda item: rank[item[1]]))


def of_options(
    options: Sequence[str], paths: Mapping[Path, str], logprobs: Mapping[Path, float], where: str = ""
) -> dict[str, float]:
    """Return the probability of each option: the sum over its ways, each counted where no longer one goes on.

    Parameters
    ----------
    options : sequence of str
    paths : mapping of tuple to str
        Tokens of each way, and the option it stands for.
    logprobs : mapping of tuple to float
        Log-probability (nats) of each way's tokens, by the chain rule; a path that is missing has none.
    where : str
        For messages.

    Returns
    -------
    dict of str to float
        Each in [0, 1]. The events are disjoint, so they sum to at most 1; the rest is what is no option.

    Notes
    -----
    Where the tokens of one way begin those of another (``1`` and ``10``), a reply that goes on to the
    longer is the longer: P(``1``) is the probability of the path less that of the paths next above it.
    A text that is read finds the longer option in the same way (:func:`crystal.tasks.matching.match`).

    Raises
    ------
    InputError
        If a probability is NaN.

    Examples
    --------
    >>> ways = {("1",): "1", ("1", "0"): "10", ("2",): "2"}
    >>> logs = {("1",): math.log(0.5), ("1", "0"): math.log(0.125), ("2",): math.log(0.25)}
    >>> {option: round(p, 3) for option, p in of_options(["1", "10", "2"], ways, logs).items()}
    {'1': 0.375, '10': 0.125, '2': 0.25}
    """
    own = {path: math.exp(logprob) for path, logprob in logprobs.items()}
    if any(math.isnan(p) for p in own.values()):
        raise InputError("the model gives a probability that is no number", where=where)
    left = dict(own)
    for path, p in own.items():
        for size in range(len(path) - 1, 0, -1):
            if path[:size] in left:
                left[path[:size]] -= p
                break
    found = dict.fromkeys(options, 0.0)
    for path, p in left.items():
        found[paths[path]] += max(p, 0.0)
    return {option: min(p, 1.0) for option, p in found.items()}


def by_path(ways: Sequence[tuple[Path, str]], where: str) -> dict[Path, str]:
    """Return the option of each path.

    Raises
    ------
    InputError
        If one path stands for two options: the tokenizer cannot tell them apart.
    """
    found: dict[Path, str] = {}
    for path, option in ways:
        if path and found.setdefault(path, option) != option:
            raise InputError(
                "the tokenizer writes two options alike", where=where, got=f"{found[path]!r} and {option!r}"
            )
    return found
