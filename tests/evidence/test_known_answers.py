"""The two known answers on the published data, and what the page says where they are not given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.evidence import known_answers


def test_both_answers_are_given_in_the_report_s_words(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRYSTAL_SHARED_DATA", str(shared_data))
    results = known_answers.run(1.0, lambda *_: None)
    assert known_answers.failures(results) == []
    page = known_answers.page(results)
    assert "> The base is less promptable in family 'verb' than every later checkpoint: base-0 0.008" in page
    assert "> no blend of the base's tested prompts comes near the tuned behaviour" in page


def test_what_was_not_measured_is_no_success(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRYSTAL_SHARED_DATA", "nowhere")
    results = known_answers.run(1.0, lambda *_: None)
    assert known_answers.page(results) == known_answers.NOT_AT_HAND
    assert known_answers.failures(results) == [known_answers.NOT_AT_HAND]


def test_every_other_answer_is_named() -> None:
    tulu: dict[str, Any] = {"promptability": [0.1, 0.06, 0.076, 0.079], "liquid": True, "picture": None}
    number: dict[str, Any] = {"nearest": 0.2, "kind": "one", "found": True, "said": None, "report": None}
    named = known_answers.failures({"published": True, "tulu": {**tulu, "said": []}, "number": number})
    assert [line.split(":")[0] for line in named] == ["Tulu"] * 3 + ["Llama"] * 3
