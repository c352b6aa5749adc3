import numpy as np
import pytest

from crystal.errors import SettingsError
from crystal.statistics.diversity import collision, hill_number, top_probability, vendi_number


def test_hill_numbers_of_equal_options_are_their_number() -> None:
    for order in (0, 0.5, 1, 2, 7.0):
        assert hill_number([4, 4, 4, 0], order) == pytest.approx(3.0)
    assert np.isnan(hill_number([0, 0], 1))
    np.testing.assert_allclose(hill_number([[6, 3, 3], [5, 0, 0]], 2), [1 / (0.25 + 0.125), 1.0])


def test_hill_numbers_fall_with_the_order() -> None:
    values = [float(hill_number([50, 20, 5, 1], order)) for order in (0, 0.5, 1, 1.5, 2, 10)]
    assert values == sorted(values, reverse=True)
    assert float(hill_number([50, 20, 5, 1], 1 + 1e-9)) == pytest.approx(values[2], rel=1e-6)


@pytest.mark.parametrize("order", [-1.0, np.nan, np.inf])
def test_bad_orders(order: float) -> None:
    with pytest.raises(SettingsError, match="Hill number"):
        hill_number([1], order)


def test_collision_is_unbiased_and_top_is_not() -> None:
    p = np.array([0.3, 0.3, 0.2, 0.2])
    counts = np.random.default_rng(4).multinomial(8, p, size=40_000)
    assert collision(counts).mean() == pytest.approx(float(p @ p), abs=0.002)
    assert top_probability(counts).mean() > 0.3 + 0.1
    assert np.isnan(collision([1, 0]))
    assert np.isnan(top_probability([0, 0]))
    assert top_probability([3, 1]) == 0.75


def test_vendi() -> None:
    assert vendi_number([[0.5, 0.5]] * 4) == pytest.approx(1.0)
    assert vendi_number(np.eye(5)) == pytest.approx(5.0)
    # Two unit vectors with inner product c: eigenvalues (1 +- c)/2.
    p, q = np.array([0.9, 0.1]), np.array([0.1, 0.9])
    c = float(np.sqrt(p) @ np.sqrt(q))
    values = np.array([(1 + c) / 2, (1 - c) / 2])
    assert vendi_number([p, q]) == pytest.approx(2 ** -(values @ np.log2(values)))
    with pytest.raises(SettingsError):
        vendi_number(np.zeros((0, 3)))
