"""Find the option that a text names, for tasks with a bound option list."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crystal.tasks import wording
from crystal.tasks.task import Task


def match(texts: Any, task: Task) -> Any:
    """Return the option that each text names first, or null.

    The text and the options are reduced to words (:func:`crystal.tasks.wording.words`) without articles and
    without the phrases that ``task.ignore`` lists. The option that starts first counts, the longest of those
    that start at the same word. Options that are everyday words too (``task.common_words``: the letters A
    and I, the month of May) count only where the text names nothing else, and then the last of them.

    Parameters
    ----------
    texts : pyarrow.Array of large_string
    task : Task

    Returns
    -------
    pyarrow.Array of large_string
        An option of ``task.options``, or null (an invalid answer).

    Examples
    --------
    >>> coin = Task(id="coin", options=("heads", "tails"), aliases={"heads": ("head",)})
    >>> match(pa.array(["It's **Tails**!", "Head.", "no idea"], pa.large_string()), coin).to_pylist()
    ['tails', 'heads', None]
    """
    matcher = _matcher(task)
    plain = wording.without_articles(wording.words(texts), matcher.articles)
    if matcher.ignored:
        # Every space is doubled, so that two phrases side by side do not share the space between them.
        plain = wording.spaced(pc.replace_substring(plain, " ", "  "))
        plain = pc.replace_substring_regex(plain, matcher.ignored, "  ")
        plain = pc.replace_substring_regex(plain, " {2,}", " ")
        plain = pc.utf8_trim(plain, " ")
    found = None
    if matcher.strong:
        found = pc.struct_field(pc.extract_regex(plain, matcher.strong), 0)
    if matcher.weak:
        last = pc.struct_field(pc.extract_regex(plain, matcher.weak), 0)
        found = last if found is None else pc.coalesce(found, last)
    return pc.take(matcher.options, pc.index_in(found, value_set=matcher.surfaces))


def match_exact(answers: Any, task: Task) -> Any:
    """Return the option that each canonical answer is, or null; for logs that hold answers, not texts."""
    matcher = _matcher(task)
    plain = wording.without_articles(wording.words(answers), matcher.articles)
    return pc.take(matcher.options, pc.index_in(plain, value_set=matcher.surfaces))


class _Matcher:
    """A task's options as expressions."""

    def __init__(self, task: Task) -> None:
        surfaces = task.surfaces()
        self.articles = tuple(word for word in wording.ARTICLES if word not in surfaces)
        self.surfaces = pa.array(list(surfaces), pa.large_string())
        self.options = pa.array(list(surfaces.values()), pa.large_string())
        common = set(_plain(task.common_words))
        self.strong = _first([form for form in surfaces if form not in common])
        self.weak = _last([form for form in surfaces if form in common])
        ignored = [phrase for phrase in _plain(task.ignore) if phrase]
        self.ignored = f" (?:{_either(ignored).replace(' ', '  ')}) " if ignored else ""


@lru_cache(maxsize=256)
def _matcher(task: Task) -> _Matcher:
    return _Matcher(task)


def _plain(phrases: tuple[str, ...]) -> list[str]:
    plain = wording.without_articles(wording.words(pa.array(list(phrases), pa.large_string())))
    result: list[str] = plain.to_pylist()
    return result


def _either(forms: list[str]) -> str:
    # RE2 prefers alternatives in their order, so the longest goes first.
    return "|".join(
        re.escape(form).replace(r"\ ", " ") for form in sorted(forms, key=lambda form: (-len(form), form))
    )


def _first(forms: list[str]) -> str:
    return rf"(?:^| )(?P<option>{_either(forms)})(?: |$)" if forms else ""


def _last(forms: list[str]) -> str:
    return rf"^(?:.* )?(?P<option>{_either(forms)})(?: |$)" if forms else ""
