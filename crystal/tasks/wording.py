"""Free text into plain words: the normalisation that every answer rule shares.

A *word* is a run of letters, marks, digits and pictographs. An apostrophe or a hyphen inside a word and a
point or comma between two digits stay (``don't``, ``blue-green``, ``7.5``); everything else parts words.
All functions are Arrow compute over whole arrays, because a log may hold millions of distinct texts.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

WORD = r"\p{L}\p{M}\p{N}\p{So}"
"""The characters of words, for use inside a character class of RE2."""

LINE_ENDS = r"\n\r\x0b\x0c\x1c-\x1e\x{85}\x{2028}\x{2029}"
ARTICLES = ("a", "an", "the")


def words(texts: Any) -> Any:
    """Return the words of each text: lower case, NFC, one space between them.

    Parameters
    ----------
    texts : pyarrow.Array of large_string
        Any texts; nulls stay null.

    Returns
    -------
    pyarrow.Array of large_string
        ``""`` where a text has no word at all.

    Examples
    --------
    >>> words(pa.array(["**Blue-green!**", " 7.5, or 8.", "...", "Don't"], pa.large_string())).to_pylist()
    ['blue-green', '7.5 or 8', '', "don't"]
    """
    plain = pc.utf8_lower(texts)
    if not pc.all(pc.string_is_ascii(plain)).as_py():
        plain = pc.utf8_normalize(plain, form="NFC")
        plain = pc.replace_substring_regex(plain, r"[\x{2018}\x{2019}\x{2bc}\x{ff07}]", "'")
        plain = pc.replace_substring_regex(plain, r"[\x{2010}\x{2011}]", "-")
    plain = pc.replace_substring_regex(plain, rf"[^{WORD}'\-.,]+", " ")
    plain = spaced(plain)
    # No expression of RE2 looks around, so runs of marks go first: each that is left has no mark beside it,
    # and a match can then never eat what its neighbour needs.
    plain = pc.replace_substring_regex(plain, r"['\-.,]{2,}", " ")
    plain = pc.replace_substring_regex(plain, r"[.,]([^\p{Nd}])|['\-]( )", r" \1\2")
    plain = pc.replace_substring_regex(plain, r"([^\p{Nd}])[.,]|( )['\-]", r"\1\2 ")
    return pc.utf8_trim(pc.replace_substring_regex(plain, r" {2,}", " "), " ")


def without_articles(plain: Any, articles: tuple[str, ...] = ARTICLES) -> Any:
    """Drop each article that stands before another word; an article alone is an answer (the letter A).

    Examples
    --------
    >>> without_articles(pa.array(["the queen of the hearts", "a"], pa.large_string())).to_pylist()
    ['queen of hearts', 'a']
    """
    if not articles:
        return plain
    return pc.replace_substring_regex(plain, rf"(^| )(?:(?:{'|'.join(articles)}) )+", r"\1")


def spaced(plain: Any) -> Any:
    """Put a space before and after each text."""
    space = pa.scalar(" ", plain.type)
    return pc.binary_join_element_wise(space, plain, space, pa.scalar("", plain.type))


def first_line(texts: Any) -> Any:
    """Return the first line that has a word, from that word on; null where a text has no word."""
    return pc.struct_field(pc.extract_regex(texts, rf"(?P<line>[{WORD}][^{LINE_ENDS}]*)"), 0)


def first_word(plain: Any) -> Any:
    """Return the first of some words; null where there is none."""
    return pc.struct_field(pc.extract_regex(plain, r"^(?P<word>[^ ]+)"), 0)


def last_word(plain: Any) -> Any:
    """Return the last of some words; null where there is none."""
    return pc.struct_field(pc.extract_regex(plain, r"(?P<word>[^ ]+)$"), 0)


def word_count(plain: Any) -> Any:
    """Return how many words there are (1 for ``""``: ask about emptiness apart)."""
    return pc.add(pc.count_substring(plain, " "), 1)


def none_where_empty(plain: Any) -> Any:
    """Turn ``""`` into null: a text with no word is an invalid answer."""
    return pc.if_else(pc.equal(plain, ""), pa.scalar(None, plain.type), plain)
