import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from crystal.errors import InputError, SettingsError
from crystal.statistics.arnold import arnold_scan, dissimilarity
from crystal.statistics.divergence import js_divergence, tv
from crystal.testing.planted_long import long_ladder

KINDS = ("linear", "tv", "js")
SIZES = {"tasks": 2, "prompts": 2, "options": 5}


@settings(deadline=None)
@given(hnp.arrays(np.float64, (2, 4), elements=st.floats(0.0, 1.0)))
def test_dissimilarities_are_expected_scores_of_the_posterior(weights: np.ndarray) -> None:
    p, q = (weights + 1e-9) / (weights + 1e-9).sum(axis=1, keepdims=True)
    scores = {
        "linear": lambda x: 2 * x - 1,
        "tv": lambda x: 1 - 2 * np.minimum(x, 1 - x),
        "js": lambda x: 1 + np.log2(x),
    }
    for kind, g in scores.items():
        expected = (p * g(p / (p + q)) + q * g(q / (p + q))).sum() / 2
        assert dissimilarity(p, q, kind) == pytest.approx(expected, abs=1e-9)
    assert dissimilarity(p, q, "js") == pytest.approx(js_divergence(p, q), abs=1e-9)
    assert dissimilarity(p, q, "tv") == pytest.approx(tv(p, q), abs=1e-12)
    assert dissimilarity(p, q, "linear") <= dissimilarity(p, q, "tv") + 1e-12


def test_the_curve_compares_the_averages_of_both_windows() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(3), size=(2, 7))
    for kind in KINDS:
        scan = arnold_scan(p, kind, window=2)
        expected = [
            np.mean([dissimilarity(b[max(0, t - 2) : t].mean(0), b[t : t + 2].mean(0), kind) for b in p])
            for t in range(1, 7)
        ]
        np.testing.assert_allclose(scan.curve, expected, atol=1e-12)
        assert scan.p is None
        assert scan.peaks == ()
    counts = (rng.dirichlet(np.ones(3), size=(2, 7)) * 60).astype(np.int64) + 1
    shares = counts / counts.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(arnold_scan(counts, window=3).curve, arnold_scan(shares, window=3).curve)


@pytest.mark.parametrize("kind", KINDS)
def test_changes_are_found_and_noise_is_not(kind: str) -> None:
    truth = long_ladder("cuts", rungs=30, changes=(10, 20), size=0.7, **SIZES)
    scan = arnold_scan(truth.counts(40), kind, permutations=199)
    assert [peak.position for peak in scan.peaks] == [10, 20]
    assert all(peak.low <= peak.position <= peak.high for peak in scan.peaks)
    p = [
        arnold_scan(
            long_ladder("flat", rungs=12, seed=seed, **SIZES).counts(10), kind, permutations=99, key=seed
        ).p
        for seed in range(60)
    ]
    assert (np.array(p) <= 0.05).mean() <= 0.15
    assert np.mean(p) > 0.4


def test_constant_data_have_p_one() -> None:
    scan = arnold_scan(np.full((2, 5, 2), [10, 0]), permutations=19)
    assert scan.p == 1.0
    assert scan.peaks == ()


def test_threads_change_nothing() -> None:
    counts = long_ladder("cuts", rungs=12, **SIZES).counts(20)
    one, two = (arnold_scan(counts, "js", threads=threads) for threads in (1, 2))
    assert one.adjusted_p is not None
    assert two.adjusted_p is not None
    assert one.adjusted_p.tobytes() == two.adjusted_p.tobytes()
    assert one.peaks == two.peaks


def test_bad_input() -> None:
    with pytest.raises(SettingsError, match="window"):
        arnold_scan([[[1, 2], [2, 1]]], window=0)
    with pytest.raises(SettingsError, match="no sample"):
        arnold_scan([[[1, 2], [0, 0]]])
    with pytest.raises(SettingsError, match="cut"):
        arnold_scan([[[1, 2]]])
    with pytest.raises(SettingsError, match="permutations"):
        arnold_scan([[[1, 2], [2, 1]]], permutations=9)
    with pytest.raises(SettingsError, match="dissimilarity"):
        dissimilarity([1.0], [1.0], "kl")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        arnold_scan([[[0.5, 0.6], [0.5, 0.5]]])
