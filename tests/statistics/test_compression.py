"""Compression ratios: once over all, at a fixed number of bytes, whatever the order."""

from __future__ import annotations

import math
import zlib

import numpy as np
import pytest

from crystal.errors import SettingsError
from crystal.statistics.compression import compression_ratio, compression_ratios

WORDS = [f"{a}{b}{c}" for a in "bdfgklm" for b in "aeiou" for c in "lmnrst"]


def texts_of(count: int, words: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, words)) for _ in range(count)]


def test_one_text_alone_is_what_zlib_says() -> None:
    text = " ".join(texts_of(20, 30, 0))
    assert compression_ratio([text], budget=len(text)) == len(text) / len(zlib.compress(text.encode(), 9))
    assert compression_ratio([text.encode()], budget=100) == 100 / len(zlib.compress(text.encode()[:100], 9))


def test_bytes_that_are_not_there_have_no_ratio() -> None:
    assert compression_ratio(["abc"], budget=4) > 0  # the line end counts
    assert math.isnan(compression_ratio(["abc"], budget=5))
    assert math.isnan(compression_ratio([], budget=1))


def test_order_changes_nothing_and_copies_count() -> None:
    texts = texts_of(60, 9, 1) + ["again and again"] * 5
    found = compression_ratio(texts, budget=2000)
    for seed in range(3):
        moved = [texts[i] for i in np.random.default_rng(seed).permutation(len(texts))]
        assert compression_ratio(moved, budget=2000) == found
    assert compression_ratio(texts, budget=2000, seed=1) != found
    assert compression_ratio(texts_of(60, 9, 1) + ["again and again"] * 200, budget=2000) > 1.5 * found


def test_what_texts_share_is_seen() -> None:
    """Each text is noise by itself; all are the same. Compressing them one by one would see nothing."""
    noise = texts_of(1, 40, 3)[0]
    unlike, alike = texts_of(200, 40, 4), [noise] * 200
    one_by_one = len(noise) / len(zlib.compress(noise.encode(), 9))
    assert compression_ratio(alike, budget=20_000) > 20 * one_by_one
    assert compression_ratio(unlike, budget=20_000) < 4 * one_by_one


def test_within_and_across_are_kept_apart() -> None:
    stories = texts_of(40, 60, 5)
    # Each input is always answered alike, and no two inputs are.
    collapsed = compression_ratios(
        [story for story in stories for _ in range(10)],
        [i for i in range(40) for _ in range(10)],
        budget=1500,
    )
    # All inputs are answered alike, and no two replies to one are.
    template = compression_ratios(stories * 20, [i // 40 for i in range(800)], budget=1500)
    assert collapsed.inputs == 40
    assert collapsed.within > 2 * collapsed.across
    assert template.within < 1.2 * template.across
    same = compression_ratios([stories[0]] * 30, list(range(30)), budget=1500)
    assert math.isnan(same.within)
    assert same.inputs == 0
    assert same.across > 2 * collapsed.across


def test_counts_stand_for_copies() -> None:
    texts, counts = texts_of(50, 9, 6), [1 + i % 7 for i in range(50)]
    copies = [text for text, count in zip(texts, counts, strict=True) for _ in range(count)]
    found = compression_ratio(texts, counts=counts, budget=3000)
    assert found == compression_ratio(copies, budget=3000)
    # A text that is given twice has the sum of its counts.
    more = [count + 3 for count in counts]
    twice = compression_ratio(texts + texts, counts=counts + [3] * 50, budget=3000)
    assert twice == compression_ratio(texts, counts=more, budget=3000)
    assert math.isnan(compression_ratio(["abc"], counts=[2], budget=9))


def test_refusals() -> None:
    for counts in ([1], [1, 0], [1, 2, 3]):
        with pytest.raises(SettingsError, match="one for each text"):
            compression_ratio(["a", "b"], counts=counts)
    with pytest.raises(SettingsError, match="below a byte"):
        compression_ratio([], budget=0)
    with pytest.raises(SettingsError, match="seed"):
        compression_ratio([], seed=-1)
    with pytest.raises(SettingsError, match="differ in length"):
        compression_ratios(["a"], [])
