import numpy as np
import pytest

from crystal.errors import SettingsError
from crystal.testing.planted_long import long_ladder


@pytest.mark.parametrize("rungs", [2, 3, 12, 100, 300])
def test_ladders_of_any_length_have_their_story(rungs: int) -> None:
    flat = long_ladder("flat", rungs=rungs, tasks=2, prompts=2).truth
    assert (np.diff(flat.probabilities, axis=1) == 0).all()
    steps = [rung.step for rung in flat.checkpoints]
    assert steps[0] == 0
    assert (np.diff(steps) > 0).all()
    assert next(rung.stage for rung in flat.checkpoints) == "base"
    cut = long_ladder("cuts", rungs=rungs, tasks=2, prompts=2)
    moved = np.abs(np.diff(cut.truth.probabilities, axis=1)).max(axis=(0, 2, 3)) > 0
    assert (np.flatnonzero(moved) + 1).tolist() == list(cut.changes) == [rungs // 2]
    drift = long_ladder("drift", rungs=rungs, tasks=1, prompts=1).truth.probabilities[0, :, 0]
    assert (np.abs(np.diff(drift, axis=0)).max(axis=1) > 0).all()
    np.testing.assert_allclose(drift.sum(axis=1), 1.0)


def test_a_drift_is_linear_in_the_logarithm_of_the_step() -> None:
    for spacing in ("log", "even"):
        truth = long_ladder("drift", rungs=20, spacing=spacing, tasks=1, prompts=1).truth
        log = np.log1p([rung.step for rung in truth.checkpoints])
        p = truth.probabilities[0, :, 0]
        np.testing.assert_allclose(p, p[0] + (p[-1] - p[0]) * (log / log[-1])[:, None], atol=1e-12)


def test_the_size_of_a_cut() -> None:
    small, large = (
        long_ladder("cuts", rungs=10, size=size, tasks=4, prompts=2).truth.probabilities
        for size in (0.2, 0.8)
    )
    np.testing.assert_array_equal(small[:, 0], large[:, 0])
    step = [np.abs(p[:, -1] - p[:, 0]).sum(axis=-1) for p in (small, large)]
    np.testing.assert_allclose(4 * step[0], step[1])


def test_samples_have_the_same_counts_in_every_form() -> None:
    truth = long_ladder("cuts", rungs=5, tasks=2, prompts=3, options=4)
    counts = truth.counts(20, draw=3)
    assert counts.shape == (6, 5, 4)
    assert (counts.sum(axis=2) == 20).all()
    np.testing.assert_array_equal(counts[3:].transpose(1, 0, 2), truth.tables(20, draw=3)[1].counts)
    assert truth.samples(20).num_rows == 6 * 5 * 20


@pytest.mark.parametrize(
    "bad",
    [
        {"kind": "wave"},
        {"rungs": 1},
        {"changes": (0,)},
        {"changes": (10,), "rungs": 10},
        {"changes": ()},
        {"kind": "flat", "changes": (3,)},
        {"size": 0.0},
        {"options": 1},
        {"spacing": "odd"},
    ],
)
def test_bad_sizes_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(SettingsError):
        long_ladder(**bad)  # type: ignore[arg-type]
