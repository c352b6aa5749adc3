"""Settings that make no sense are refused by name, wherever they come from."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from crystal.errors import SettingsError
from crystal.phases.settings import Margins, Settings


@pytest.mark.parametrize(
    "bad",
    [
        {"alpha": 0.0},
        {"alpha": 0.5},
        {"alpha": float("nan")},
        {"retention_mass": 1.0},
        {"draws": 10},
        {"seed": -1},
        {"threads": -2},
        {"splits": 1},
    ],
)
def test_out_of_range_is_named(bad: dict[str, float]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        Settings(**bad)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match=next(iter(bad))):
        msgspec.structs.replace(Settings(), **bad)


@pytest.mark.parametrize("value", [-0.1, float("inf"), float("nan")])
def test_margins_are_sizes(value: float) -> None:
    with pytest.raises(SettingsError, match=r"margins\.jsd"):
        Margins(jsd=value)


def test_zero_margins_are_allowed() -> None:
    assert Margins(jsd=0.0, liquid=0.0).liquid == 0.0


@pytest.mark.parametrize(
    "bad",
    [
        {"alpha": "0.05"},
        {"seed": 1.5},
        {"seed": 2**64},
        {"draws": "many"},
        {"change_points": "cut"},
        {"order": "base-0"},
        {"order": (1, 2)},
        {"margins": {"liquid": 0.1}},
    ],
)
def test_another_type_is_named_at_once(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError, match=next(iter(bad))):
        Settings(**bad)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    """They were taken, and failed when the report was written."""
    margins = Margins(liquid=np.float64(1))
    found = Settings(alpha=np.float32(0.25), seed=np.int64(3), order=["a"], margins=margins)  # type: ignore[arg-type]
    same = Settings(alpha=0.25, seed=3, order=("a",), margins=Margins(liquid=1))
    assert found == same
    assert msgspec.json.encode(found) == msgspec.json.encode(same)
