"""The vectorised normalisation and rules against a plain-Python reading of their definition."""

from __future__ import annotations

import re
import unicodedata

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crystal.errors import SettingsError
from crystal.tasks import wording
from crystal.tasks.answers import canonical, extract, parse_rule

ALPHABET = "abtheAN éÉ'\u2019-\u2010.,:;!?*_\"\n\r\t 0179²ßЖ中🐶♠\u0301\u2028"
PIECES = st.sampled_from(["a", "an", "the", "The", "blue", "7.5", "-"])
TEXTS = st.one_of(st.text(ALPHABET, max_size=40), st.lists(PIECES).map(" ".join))


def is_word_character(c: str) -> bool:
    return unicodedata.category(c)[0] in "LMN" or unicodedata.category(c) == "So"


def reference_words(text: str) -> list[str]:
    text = unicodedata.normalize("NFC", "".join(c.lower() for c in text))
    text = re.sub("[\u2018\u2019\u02bc\uff07]", "'", text)
    text = re.sub("[\u2010\u2011]", "-", text)
    text = "".join(c if is_word_character(c) or c in "'-.," else " " for c in text)
    kept = []
    for i, c in enumerate(text):
        before, after = text[i - 1] if i else " ", text[i + 1] if i + 1 < len(text) else " "
        if c in "'-":
            keep = all(is_word_character(x) for x in (before, after))
        elif c in ".,":
            keep = all(unicodedata.category(x) == "Nd" for x in (before, after))
        else:
            keep = True
        kept.append(c if keep else " ")
    return "".join(kept).split()


def reference_articles(words: list[str]) -> list[str]:
    return [w for i, w in enumerate(words) if w not in ("a", "an", "the") or i == len(words) - 1]


def reference(text: str, rule: str, stage: str) -> str | None:
    if rule == "modelun":
        kept = [c for c in text.lower() if unicodedata.category(c)[0] == "L" or c in " \t\n\r\f'-"]
        words = "".join(kept).split()
        if stage == "base":
            return words[0] if words else None
        return words[-1] if words and len(words) <= 15 else None
    if rule == "short":
        lines = [line for line in text.splitlines() if any(map(is_word_character, line))]
        if not lines:
            return None
        first = next(i for i, c in enumerate(lines[0]) if is_word_character(c))
        words = reference_articles(reference_words(lines[0][first:]))
        return " ".join(words if len(words) <= 4 else words[:1]) or None
    words = reference_articles(reference_words(text))
    if not words:
        return None
    return {"first-word": words[0], "last-word": words[-1], "whole": " ".join(words)}[rule]


@given(st.lists(TEXTS, min_size=1, max_size=8))
@settings(max_examples=120, deadline=None)
def test_words_are_those_of_the_definition(texts: list[str]) -> None:
    array = pa.array(texts, pa.large_string())
    assert wording.words(array).to_pylist() == [" ".join(reference_words(text)) for text in texts]


@pytest.mark.parametrize("rule", ["short", "first-word", "last-word", "whole", "modelun"])
@given(texts=st.lists(TEXTS, min_size=1, max_size=8), stage=st.sampled_from(["base", "sft"]))
@settings(max_examples=50, deadline=None)
def test_rules_are_those_of_the_definition(rule: str, texts: list[str], stage: str) -> None:
    found = extract(pa.array(texts, pa.large_string()), rule, None, stage).to_pylist()
    assert found == [reference(text, rule, stage) for text in texts]


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("**Blue**", "blue"),
        ("\n \n... \nSky blue.\nNot red.", "sky blue"),
        ("The colour I choose is blue", "colour"),
        ("A", "a"),
        ("An apple a day", "apple day"),
        ("CAFE\u0301", "caf\u00e9"),
        ("It\u2019s", "it's"),
        ("1,000", "1,000"),
        ("x\r\ny", "x"),
        ("?!", None),
        ("", None),
        ("one two three four", "one two three four"),
        ("one two three four five", "one"),
    ],
)
def test_short_answers(text: str, short: str | None) -> None:
    assert extract(pa.array([text], pa.large_string()), "short").to_pylist() == [short]


def test_a_pattern_gives_its_first_group_or_the_whole_match() -> None:
    texts = pa.array(["I say: Blue!\nAnswer: Red", "answer Green", "none", None], pa.large_string())
    assert extract(texts, r"regex:(?i)answer:? (\w+)").to_pylist() == ["red", "green", None, None]
    assert extract(texts, r"regex:B\w+").to_pylist() == ["blue", None, None, None]
    assert extract(texts, r"regex:(?m)^Answer: (x)?").to_pylist() == [None, None, None, None]
    # The dot of a pattern is the user's: it does not cross lines unless he says so.
    assert extract(texts, r"regex:say(.*)Red").to_pylist() == [None] * 4


@pytest.mark.parametrize("rule", ["", "Short", "regex", "regex:(", "regex:(?=x)", "last word"])
def test_unknown_rules_are_refused(rule: str) -> None:
    with pytest.raises(SettingsError):
        parse_rule(rule)


def test_nulls_chunks_and_empty_arrays_pass() -> None:
    texts = pa.chunked_array([["A b", None], []], pa.string())
    assert extract(texts, "whole").to_pylist() == ["b", None]
    assert len(extract(pa.array([], pa.large_string()), "short")) == 0


def test_answers_of_a_log_stand_as_they_are() -> None:
    assert canonical(pa.array([" Sky Blue ", "  ", None], pa.large_string())).to_pylist() == [
        "Sky Blue",
        None,
        None,
    ]
