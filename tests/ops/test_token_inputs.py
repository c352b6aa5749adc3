"""Every wrong input is refused before any work, with words that say what to change."""

from __future__ import annotations

import re

import numpy as np
import pytest

from crystal.errors import SettingsError
from crystal.ops.token_inputs import LayoutError, check, check_temperature

ROWS = np.zeros((2, 5), np.float32)


@pytest.mark.parametrize(
    ("logits", "tokens", "words"),
    [
        (ROWS[0], [0], "logits: wrong shape"),
        (np.zeros((1, 1, 1, 1), np.float32), [[[0]]], "logits: wrong shape"),
        (np.zeros((2, 0), np.float32), [0, 0], "logits: wrong shape"),
        (ROWS.astype(np.int32), [0, 0], "logits: wrong dtype of logits"),
        (ROWS.astype(np.uint16), [0, 0], 'pass dtype="bfloat16"'),
        ([[0.0, 1.0]], [0], "logits: not an array"),
        (ROWS, [0, 0, 0], "tokens: wrong shape"),
        (ROWS, [[0, 0]], "tokens: wrong shape"),
        (ROWS, np.array([0.0, 1.0]), "tokens: wrong dtype of ids"),
        (ROWS, [0, 5], "tokens, position 1: an id outside the vocabulary"),
        (ROWS, [-1, 0], "tokens, position 0: an id outside the vocabulary"),
        (ROWS, "ab", "tokens: not an array"),
    ],
)
def test_wrong_input_is_refused(logits, tokens, words):
    with pytest.raises(SettingsError, match=re.escape(words)):
        check(logits, tokens)


def test_a_vocabulary_with_another_stride_is_refused():
    with pytest.raises(LayoutError, match="got stride 2"):
        check(np.zeros((2, 10), np.float32)[:, ::2], [0, 0])
    with pytest.raises(LayoutError, match="got stride 2"):
        check(np.zeros((5, 2), np.float32).T, [0, 0])
    with pytest.raises(LayoutError, match="got stride -1"):
        check(ROWS[:, ::-1], [0, 0])


def test_strides_inside_an_element_are_refused():
    raw = np.zeros(100, np.uint8)
    view = np.ndarray((2, 5), np.float32, raw, 0, (21, 4))
    with pytest.raises(LayoutError, match="cut through an element"):
        check(view, [0, 0])


def test_the_ignored_id_may_lie_outside():
    assert check(ROWS, [-100, 4]).tokens.tolist() == [-100, 4]
    assert check(ROWS, [7, 4], ignored_id=7).tokens.tolist() == [7, 4]


def test_bits_of_bfloat16_need_their_name():
    assert check(ROWS.astype(np.uint16), [0, 0], dtype="bfloat16").dtype == "bfloat16"
    with pytest.raises(SettingsError, match="does not describe the logits"):
        check(ROWS, [0, 0], dtype="bfloat16")


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf"), 1e-5])
def test_temperatures_outside_the_proven_range_are_refused(temperature):
    with pytest.raises(SettingsError, match="temperature"):
        check_temperature(temperature)


def test_torch_and_numpy_ids_mix():
    torch = pytest.importorskip("torch")
    given = check(torch.zeros(2, 5), np.array([0, 1], np.uint8))
    assert given.kind == "torch"
    assert given.tokens.dtype == torch.int64
    given = check(ROWS, torch.tensor([0, 1], dtype=torch.int16))
    assert given.kind == "numpy"
    assert given.tokens.dtype == np.int64


def test_dlpack_is_taken_without_a_copy():
    torch = pytest.importorskip("torch")

    class Foreign:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    rows = np.zeros((2, 5), np.float32)
    given = check(Foreign(rows), [0, 1])
    rows[1, 2] = 8.0
    assert isinstance(given.logits, torch.Tensor)
    assert given.logits[1, 2] == 8.0
