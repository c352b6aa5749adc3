"""The answer rules: which part of a free text is its answer, where no option list is bound."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from crystal.errors import SettingsError
from crystal.tasks import wording

RULES = ("short", "first-word", "last-word", "whole", "modelun")
_SHORT = 4
_MODELUN_WORDS = 15


class AnswerRule(msgspec.Struct, frozen=True):
    """One rule by its name, and its pattern if it is ``regex``."""

    name: str
    pattern: str | None = None

    @property
    def by_stage(self) -> bool:
        """True if the same text can have different answers at different stages."""
        return self.name == "modelun"

    def __str__(self) -> str:
        return self.name if self.pattern is None else f"regex:{self.pattern}"


def parse_rule(rule: str | AnswerRule) -> AnswerRule:
    r"""Return the rule of a name.

    Parameters
    ----------
    rule : str or AnswerRule
        ``short``, ``first-word``, ``last-word``, ``whole``, ``modelun`` or ``regex:PATTERN`` (RE2 syntax;
        group 1 if the pattern has one, else the whole match).

    Raises
    ------
    SettingsError
        If there is no such rule, or the pattern cannot be compiled.

    Examples
    --------
    >>> parse_rule(r"regex:Answer: (\w+)").pattern
    'Answer: (\\w+)'
    """
    if isinstance(rule, AnswerRule):
        return rule
    name, colon, pattern = rule.partition(":")
    if name == "regex" and colon:
        _check_pattern(pattern)
        return AnswerRule("regex", pattern)
    if rule not in RULES:
        raise SettingsError(
            "there is no such answer rule", where="--answer", expected=f"{', '.join(RULES)} or regex:PATTERN",
            got=repr(rule),
        )  # fmt: skip
    return AnswerRule(rule)


def _check_pattern(pattern: str) -> None:
    try:
        pc.match_substring_regex(pa.array([""], pa.large_string()), pattern)
    except (pa.ArrowInvalid, UnicodeEncodeError) as error:
        raise SettingsError(
            f"the pattern cannot be used: {error}", where="--answer", got=repr(pattern), fix="use RE2 syntax"
        ) from error


def apply(texts: Any, rule: AnswerRule, stage: str) -> Any:
    """Return the answer in each text by a rule; null where there is none.

    Parameters
    ----------
    texts : pyarrow.Array of large_string
    rule : AnswerRule
    stage : str
        Stage of the checkpoint that wrote the texts; only ``modelun`` looks at it.

    Returns
    -------
    pyarrow.Array of large_string
    """
    if rule.name == "modelun":
        return _modelun(texts, stage)
    if rule.name == "short":
        return _short(texts)
    if rule.name == "regex":
        texts = _matched(texts, rule.pattern or "")
    plain = wording.without_articles(wording.words(texts))
    if rule.name == "first-word":
        return wording.first_word(plain)
    if rule.name == "last-word":
        return wording.last_word(plain)
    return wording.none_where_empty(plain)


def _short(texts: Any) -> Any:
    plain = wording.without_articles(wording.words(wording.first_line(texts)))
    few = pc.less_equal(wording.word_count(plain), _SHORT)
    return wording.none_where_empty(pc.if_else(few, plain, wording.first_word(plain)))


def _matched(texts: Any, pattern: str) -> Any:
    whole = rf"(?s:^.*?)(?:{pattern})(?s:.*$)"
    found = pc.match_substring_regex(texts, pattern)
    try:
        answer = pc.replace_substring_regex(texts, whole, r"\1", max_replacements=1)
    except pa.ArrowInvalid:  # the pattern has no group
        answer = pc.replace_substring_regex(
            texts, rf"(?s:^.*?)({pattern})(?s:.*$)", r"\1", max_replacements=1
        )
    return pc.if_else(found, answer, pa.scalar(None, texts.type))


def _modelun(texts: Any, stage: str) -> Any:
    """Read answers as the authors of the Tulu-3-8B word census did (tap2k/modelun): for reproduction only.

    Everything but letters, apostrophes and hyphens is dropped; a base model's answer is its first word, a
    tuned model's its last, and a tuned reply of more than 15 words is none.
    """
    plain = pc.replace_substring_regex(pc.utf8_lower(texts), r"[^\p{L}\s'\-]", "")
    plain = pc.utf8_trim(pc.replace_substring_regex(plain, r"\s+", " "), " ")
    if stage == "base":
        return wording.first_word(plain)
    brief = pc.less_equal(wording.word_count(plain), _MODELUN_WORDS)
    return pc.if_else(brief, wording.last_word(plain), pa.scalar(None, plain.type))
