import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import psi

from crystal.errors import InputError, SettingsError
from crystal.statistics.entropy import entropy, grassberger_term, leave_one_out, shannon_entropy

ALL = ("plugin", "miller_madow", "grassberger", "chao_shen", "jackknife", "nsb")
count_rows = st.lists(st.integers(0, 30), min_size=1, max_size=8)


def plugin(counts: list[int]) -> float:
    n = sum(counts)
    return math.fsum(-c / n * math.log2(c / n) for c in counts if c)


def test_shannon_by_hand() -> None:
    np.testing.assert_allclose(
        shannon_entropy([[0.5, 0.25, 0.25], [1, 0, 0], [1 / 3] * 3]), [1.5, 0, math.log2(3)], atol=1e-15
    )


def test_plugin_and_miller_madow_by_hand() -> None:
    assert entropy([2, 1, 1, 0], "plugin") == 1.5
    assert entropy([2, 1, 1, 0], "miller_madow") == pytest.approx(1.5 + 2 / (8 * math.log(2)))


def test_grassberger_term_is_the_definition_of_2003() -> None:
    n = np.arange(1, 60)
    definition = psi(n) + (-1.0) ** n / 2 * (psi((n + 1) / 2) - psi(n / 2))
    np.testing.assert_allclose(grassberger_term(n), definition, atol=1e-13)


def test_grassberger_by_hand() -> None:
    # G(1) = -gamma - ln 2, G(2) = 2 - gamma - ln 2
    g1 = -np.euler_gamma - math.log(2)
    expected = (math.log(3) - (2 * (g1 + 2) + g1) / 3) / math.log(2)
    assert entropy([2, 1], "grassberger") == pytest.approx(expected, abs=1e-14)


def test_chao_shen_by_hand() -> None:
    coverage = 1 - 1 / 4
    expected = 0.0
    for c in (3, 1):
        p = coverage * c / 4
        expected -= p * math.log2(p) / (1 - (1 - p) ** 4)
    assert entropy([3, 1], "chao_shen") == pytest.approx(expected, abs=1e-14)


def test_chao_shen_of_singletons_and_of_one_option() -> None:
    p = (1 - 2 / 3) / 3  # f1 = n is counted as n - 1
    expected = -3 * p * math.log2(p) / (1 - (1 - p) ** 3)
    assert entropy([1, 1, 1], "chao_shen") == pytest.approx(expected)
    assert entropy([7, 0], "chao_shen") == 0.0


@given(count_rows)
@settings(deadline=None)
def test_jackknife_and_leave_one_out_are_brute_force(counts: list[int]) -> None:
    n = sum(counts)
    left = leave_one_out(np.array(counts))
    values = []
    for option, count in enumerate(counts):
        if count and n > 1:
            rest = counts.copy()
            rest[option] -= 1
            assert left[option] == pytest.approx(plugin(rest), abs=1e-12)
            values += [plugin(rest)] * count
        else:
            assert np.isnan(left[option])
    if n > 1:
        expected = n * plugin(counts) - (n - 1) * math.fsum(values) / n
        assert entropy(counts, "jackknife") == pytest.approx(expected, abs=1e-10 * n)
    else:
        assert np.isnan(entropy(counts, "jackknife"))


@given(count_rows, st.sampled_from(ALL))
@settings(deadline=None)
def test_the_order_of_options_does_not_matter(counts: list[int], estimator: str) -> None:
    forward, backward = (entropy(c, estimator) for c in (counts, counts[::-1]))  # type: ignore[arg-type]
    np.testing.assert_allclose(forward, backward, atol=1e-12)


@pytest.mark.parametrize("estimator", ALL)
def test_rows_are_independent_and_empty_rows_are_nan(estimator: str) -> None:
    counts = np.array([[[3, 1, 0], [0, 0, 0]], [[5, 5, 5], [0, 9, 0]]])
    result = entropy(counts, estimator)  # type: ignore[call-overload]
    assert result.shape == (2, 2)
    assert np.isnan(result[0, 1])
    for row in ((0, 0), (1, 0), (1, 1)):
        assert result[row] == pytest.approx(entropy(counts[row], estimator), abs=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("estimator", ALL)
def test_all_estimators_find_the_truth_from_many_samples(estimator: str) -> None:
    p = np.array([0.4, 0.3, 0.2, 0.1])
    counts = np.random.default_rng(1).multinomial(200_000, p)
    assert entropy(counts, estimator) == pytest.approx(float(shannon_entropy(p)), abs=0.01)  # type: ignore[arg-type]


def test_bias_at_small_n_is_as_known() -> None:
    """Plug-in is far too low at n = K; Grassberger takes most of the bias away."""
    counts = np.random.default_rng(2).multinomial(20, np.full(20, 0.05), size=2_000)
    truth = math.log2(20)
    assert truth - entropy(counts, "plugin").mean() > 0.6
    assert abs(truth - entropy(counts, "grassberger").mean()) < 0.12
    assert abs(truth - entropy(counts, "chao_shen").mean()) < 0.12


def test_bad_arguments() -> None:
    with pytest.raises(SettingsError, match="unknown entropy estimator"):
        entropy([1, 2], "james_stein")  # type: ignore[arg-type]
    with pytest.raises(InputError):
        entropy([1, -2])
    assert np.isnan(entropy(np.zeros((3, 0), dtype=np.int64))).all()


def test_published_entropies_of_a_real_ladder(shared_data: Path) -> None:
    """SCIENCE section 5.3: Tulu's base reads 4.03 / 4.63 / 5.52 / 6.55 bits by estimator (first word)."""
    cells: dict[str, dict[str, int]] = {}
    with (shared_data / "tulu3-8b" / "samples.jsonl").open() as file:
        for line in file:
            row = json.loads(line)
            words = row["text"].lower().split()
            if row["stage"] == "base" and row["prompt"].startswith("name/") and words:
                cell = cells.setdefault(row["task"], {})
                word = words[0].strip(".,:;!?\"'()*")
                cell[word] = cell.get(word, 0) + 1
    counts = np.zeros((len(cells), 60), dtype=np.int64)
    for row_of, cell in zip(counts, cells.values(), strict=True):
        row_of[: len(cell)] = list(cell.values())
    means = [entropy(counts, name).mean() for name in ("plugin", "miller_madow", "grassberger", "chao_shen")]  # type: ignore[call-overload]
    np.testing.assert_allclose(means, [4.03, 4.63, 5.52, 6.55], atol=0.12)
