from __future__ import annotations

from typing import Any

import pytest

from crystal.cli import options
from crystal.errors import SettingsError
from crystal.phases.settings import Settings


def test_mapping() -> None:
    assert options.mapping(None) is None
    assert options.mapping(["prompt=input", "text = output,task=t=u"]) == {
        "prompt": "input", "text": "output", "task": "t=u",
    }  # fmt: skip


@pytest.mark.parametrize("items", [["prompt"], ["=x"], ["prompt="], ["a=b,,c=d"], ["a=b", "a=c"]])
def test_bad_mapping(items: list[str]) -> None:
    with pytest.raises(SettingsError, match="--map"):
        options.mapping(items)


def test_settings_default_to_those_of_the_library() -> None:
    assert options.settings(0.05, 0, None, None) == Settings()


def test_settings_by_name() -> None:
    found = options.settings(0.01, 7, "a, b", ["draws=99", "margins.liquid=0.2", "allow_decoding=true"])
    assert (found.alpha, found.seed, found.order, found.draws) == (0.01, 7, ("a", "b"), 99)
    assert found.margins.liquid == 0.2
    assert found.margins.jsd == Settings().margins.jsd
    assert found.allow_decoding is True


@pytest.mark.parametrize(
    "item", ["draws", "draws=", "=1", "draws=x", "nothing=1", "margins=1", "margins.x=1", "a.b=1"]
)
def test_bad_settings(item: str) -> None:
    with pytest.raises(SettingsError):
        options.settings(0.05, 0, None, [item])


UNUSABLE = "a setting cannot be used (expected "


@pytest.mark.parametrize(
    ("arguments", "flag", "words"),
    [
        ({"alpha": 2.0}, "--alpha", "a setting is outside its range (expected between 0 and 0.5"),
        ({"seed": -1}, "--seed", "a setting is too small (expected 0 or more, got -1)"),
        ({"change_points": "x"}, "--change-points", UNUSABLE + "cuts, arnold-linear, "),
        ({"items": ["draws=1.5"]}, "--set draws", UNUSABLE + "a whole number, got '1.5')"),
        ({"items": ["draws=1"]}, "--set draws", "a setting is too small (expected 19 or more, got 1)"),
        ({"items": ["margins.liquid=x"]}, "--set margins.liquid", UNUSABLE + "a number, got 'x')"),
        ({"items": ["margins.liquid=-1"]}, "--set margins.liquid", "a margin is not a size (expected 0 or"),
        ({"items": ["margins=1"]}, "--set margins", UNUSABLE + "names in it, "),
        ({"items": ["allow_decoding=maybe"]}, "--set allow_decoding", UNUSABLE + "true or false, "),
    ],
)
def test_a_bad_setting_is_named_by_its_flag(arguments: dict[str, Any], flag: str, words: str) -> None:
    given: dict[str, Any] = {"alpha": 0.05, "seed": 0, "order": None, "items": None, **arguments}
    with pytest.raises(SettingsError) as caught:
        options.settings(**given)
    assert str(caught.value).startswith(f"{flag}: {words}")
