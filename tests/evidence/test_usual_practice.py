"""What the usual practice does on fixed draws, and that ours does better on the very same ones."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evidence import usual_practice

FINE = {
    "options": 2,
    "samples": 100,
    "draws": 200,
    "entropy_ours": 0.915,
    "jsd_ours": 0.95,
    "null_ours": 0.95,
    "alarm_ours": 0.05,
    "liquid_ours": 0.0,
}


@pytest.fixture(scope="module")
def results() -> dict[str, object]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CRYSTAL_SHARED_DATA", "nowhere")
        patch.setattr(usual_practice, "PLACES", ((10, 20),))
        return usual_practice.run(0.15, lambda *_: None)


def test_the_bootstrap_fails_where_ours_holds(results: dict[str, object]) -> None:
    (row,) = results["rows"]  # type: ignore[misc]
    assert row["entropy_bootstrap"] < 0.5 < 0.85 <= row["entropy_ours"]
    assert row["null_bootstrap"] < 0.1
    assert row["null_ours"] >= 0.9
    assert abs(row["entropy_value"]) < abs(row["entropy_plugin"])


def test_the_threshold_calls_changes_that_are_not_there(results: dict[str, object]) -> None:
    (row,) = results["rows"]  # type: ignore[misc]
    assert row["alarm_threshold"] > 0.3 > 0.2 >= row["alarm_ours"]
    assert usual_practice.failures(results) == []
    assert "| 10 | 20 |" in usual_practice.page(results)


def test_a_false_alarm_rate_too_high_is_named() -> None:
    row = {**FINE, "alarm_ours": 0.3}
    assert len(usual_practice.failures({"rows": [row]})) == 1


def test_an_interval_of_ours_that_holds_too_seldom_is_named() -> None:
    assert usual_practice.failures({"rows": [FINE, {**FINE, "jsd_ours": None}]}) == []
    (failure,) = usual_practice.failures({"rows": [{**FINE, "entropy_ours": 0.91}]})
    assert failure == "K = 2, n = 100: our interval of H holds in 91.0 % of 200."


def test_the_percentile_bootstrap_of_constant_data_is_a_point() -> None:
    random = np.random.default_rng(1)
    limits = usual_practice._bootstrap(np.array([[9, 0]]), lambda n: n[..., 0].mean(axis=-1), random)
    assert limits.tolist() == [9.0, 9.0]
