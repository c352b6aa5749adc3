from __future__ import annotations

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
