"""From texts to answers: the one door, for tasks with an option list and without."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from crystal.tasks import matching, rules
from crystal.tasks.rules import AnswerRule, parse_rule
from crystal.tasks.task import Task

__all__ = ["AnswerRule", "canonical", "extract", "parse_rule"]


def extract(texts: Any, rule: AnswerRule | str, task: Task | None = None, stage: str = "other") -> Any:
    """Return the answer in each text: a listed option where a task is bound, else by the rule.

    Meant for *distinct* texts: call it once per dictionary, not once per row.

    Parameters
    ----------
    texts : pyarrow.Array of large_string, shape (n,)
        Texts of one task (if ``task`` is given) and one stage (if ``rule.by_stage``).
    rule : AnswerRule or str
        Used where no task is bound; see :func:`crystal.tasks.rules.parse_rule`.
    task : Task, optional
        Its option list decides, and the rule does not.
    stage : str
        One of :data:`crystal.samples.STAGES`.

    Returns
    -------
    pyarrow.Array of large_string, shape (n,)
        Null where a text has no answer (invalid), and where it was null.

    Raises
    ------
    SettingsError
        If the rule cannot be used.

    Examples
    --------
    >>> texts = pa.array(["Blue.", "I would say that it is blue", "?"], pa.large_string())
    >>> extract(texts, "short").to_pylist()
    ['blue', 'i', None]
    """
    rule = parse_rule(rule)
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    texts = pc.cast(texts, pa.large_string())
    if len(texts) == 0:
        return texts
    if task is not None:
        return matching.match(texts, task)
    return rules.apply(texts, rule, stage)


def canonical(answers: Any, task: Task | None = None) -> Any:
    """Return the answers of a log that has them: as they stand, or as options where a task is bound.

    Examples
    --------
    >>> canonical(pa.array([" Blue", ""], pa.large_string())).to_pylist()
    ['Blue', None]
    """
    answers = pc.cast(answers, pa.large_string())
    if task is not None:
        return matching.match_exact(answers, task)
    trimmed = pc.utf8_trim_whitespace(answers)
    return pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, pa.large_string()), trimmed)
