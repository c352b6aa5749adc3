from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import crystal
from crystal.errors import InputError, SettingsError
from crystal.phases.cooling import far_from_powers, fit_cooling
from crystal.phases.rows import Rows
from crystal.phases.seed import find_seed
from crystal.phases.settings import Margins, Settings
from crystal.statistics.sharpening import sharpened

Floats = npt.NDArray[np.float64]
KINDS = ("one", "blend", "none", "sharpened")


def world(seed: int, sources: int = 5, options: int = 8, twins: int = 2) -> tuple[Floats, dict[str, Floats]]:
    """A base of distinct sources with jittered paraphrases of each, and what SFT may have made of it."""
    random = np.random.default_rng(seed)
    pool = random.dirichlet(np.full(options, 0.5), sources)
    base = np.concatenate([pool, *[random.dirichlet(400 * row + 0.01, twins - 1) for row in pool]])
    rare = np.argsort(base.max(axis=0))[:3]
    foreign = np.full(options, 0.01 / options)
    foreign[rare] += 0.33
    return base, {
        "one": base[0],
        "blend": base.mean(axis=0),
        "none": foreign / foreign.sum(),
        "sharpened": base[1] ** 4 / np.sum(base[1] ** 4),
    }


def draw(p: Floats, n: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).multinomial(n, p).astype(np.int64)


def kind_of(truth: str, n: int, seed: int) -> str:
    base, tuned = world(seed)
    target = np.repeat(tuned[truth][None], 6, axis=0)
    return find_seed(draw(base, n, seed + 1), draw(target, n, seed + 2), seed=seed).kind


@pytest.mark.parametrize("truth", KINDS)
def test_each_story_is_told_from_many_samples(truth: str) -> None:
    told = [kind_of(truth, 400, seed) for seed in range(6)]
    allowed = {truth, "undetermined"} | ({"one"} if truth == "sharpened" else set())
    assert set(told) <= allowed
    assert told.count("undetermined") <= 2
    assert truth in told


@pytest.mark.parametrize("truth", KINDS)
def test_twenty_samples_a_prompt_claim_nothing_wrong(truth: str) -> None:
    allowed = {truth, "undetermined"} | ({"one"} if truth == "sharpened" else set())
    assert {kind_of(truth, 20, seed) for seed in range(100, 106)} <= allowed


@pytest.mark.parametrize("truth", ["one", "blend", "none"])
def test_exact_distributions_by_the_same_logic(truth: str) -> None:
    for seed in range(5):
        base, tuned = world(seed)
        result = find_seed(base, tuned[truth])
        assert result.kind == truth
        assert result.found is (truth == "one")
        assert result.p is None
        assert result.residual is not None
        assert result.residual_share is not None
        if truth != "none":
            assert result.residual < 0.002


def test_a_power_of_a_base_distribution_is_sharpened() -> None:
    base = np.array([[0.3, 0.25, 0.2, 0.15, 0.1], [0.1, 0.15, 0.2, 0.25, 0.3], [0.2, 0.1, 0.4, 0.1, 0.2]])
    result = find_seed(base, base[0] ** 6 / np.sum(base[0] ** 6), prompts=["up", "down", "peak"])
    assert (result.kind, result.found, result.prompt) == ("sharpened", True, "up")
    assert result.alpha == pytest.approx(6.0, abs=1e-6)


def test_twins_are_merged_before_weights_are_compared() -> None:
    base = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])
    four = np.concatenate([np.repeat(base[:1], 4, axis=0), base[1:]])
    result = find_seed(draw(four, 200, 1), draw(base[0], 600, 2))
    assert result.kind == "one"
    assert result.max_weight is not None
    assert result.max_weight > 0.8
    assert len(result.weights) <= 3


def test_names_follow_the_rows_that_were_used() -> None:
    base = np.array([[3, 0, 0], [95, 3, 2], [4, 90, 6], [5, 5, 90]])
    result = find_seed(base, [2, 88, 10], prompts=["too few", "a", "b", "c"])
    assert result.prompt == "b"
    assert set(result.weights) <= {"a", "b", "c"}
    assert result.match is not None
    assert result.match > 0.8


def test_the_answer_is_the_same_bytes_for_any_threads_and_its_own_for_every_stream() -> None:
    base, tuned = world(3)
    data = draw(base, 60, 1), draw(np.repeat(tuned["one"][None], 4, axis=0), 60, 2)
    results = [find_seed(*data, settings=Settings(threads=threads)) for threads in (1, 2, 3)]
    assert results[0] == results[1] == results[2]
    other = find_seed(*data, words=("another task",))
    assert other.residual != results[0].residual
    assert other.kind == results[0].kind


@pytest.mark.parametrize(
    ("base", "tuned", "reason"),
    [
        ([[50, 30, 20]], [50, 30, 20], "1 base prompts"),
        ([[5, 3, 1], [1, 2, 3], [4, 0, 0]], [50, 30, 20], "0 base prompts"),
        ([[50, 30, 20], [10, 80, 10]], [3, 3, 3], "no tuned prompt"),
        ([[50, 30, 20], [51, 29, 20], [49, 30, 21]], [50, 30, 20], "told apart"),
        ([[0.5, 0.3, 0.2], [0.51, 0.29, 0.2]], [0.5, 0.3, 0.2], "told apart"),
    ],
)
def test_nothing_is_found_where_nothing_can_be(base: Any, tuned: Any, reason: str) -> None:
    result = find_seed(base, tuned)
    assert (result.kind, result.found, result.prompt) == ("undetermined", None, None)
    assert reason in str(result.reason)


def test_match_needs_three_distributions() -> None:
    two = find_seed([[0.9, 0.1], [0.1, 0.9]], [0.9, 0.1])
    assert two.match is None
    three = find_seed([[0.9, 0.1], [0.1, 0.9], [0.5, 0.5]], [0.9, 0.1])
    assert three.match == pytest.approx(1.0)


def test_margins_are_the_settings_own() -> None:
    base = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7], [0.2, 0.6, 0.2]])
    mixed = 0.8 * base[0] + 0.2 * base[1]
    assert find_seed(base, mixed).kind == "one"
    strict = Settings(margins=Margins(seed_weight=0.9))
    assert find_seed(base, mixed, settings=strict).kind == "blend"


def test_one_side_exact_the_other_sampled() -> None:
    base, tuned = world(2)
    assert find_seed(base, draw(tuned["one"], 400, 1)).kind == "one"
    assert find_seed(draw(base, 400, 1), tuned["none"]).kind == "none"


@pytest.mark.shared_data
def test_an_instruct_model_whose_numbers_no_base_prompt_gives(shared_data: Path) -> None:
    """Llama-3.1-8B-Instruct says 7 or 8; the nearest of 325 prompts of its base is 0.486 bit away."""
    with gzip.open(shared_data / "coin-and-number" / "random_number_token_probs.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    base = np.array([row["p"] for row in rows if row["model"] == "meta-llama_Llama-3.1-8B"])
    (tuned,) = [
        row["p"]
        for row in rows
        if row["model"] == "meta-llama_Llama-3.1-8B-Instruct" and row["kind"] == "unconditional"
    ]
    assert base.shape == (325, 10)
    result = crystal.find_seed(base, tuned)
    assert (result.kind, result.found) == ("none", False)
    assert result.residual is not None
    assert result.residual == pytest.approx(0.49, abs=0.02)
    sampled = find_seed(
        draw(base[::20] / base[::20].sum(axis=1, keepdims=True), 200, 1), draw(tuned / np.sum(tuned), 200, 2)
    )
    assert sampled.kind == "none"


@pytest.mark.parametrize(
    ("base", "tuned", "message"),
    [
        ([[1, 2], [3, 4]], [1, 2, 3], "different options"),
        ([[1, -2], [3, 4]], [1, 2], "not negative"),
        ([[0.5, np.nan], [0.5, 0.5]], [0.5, 0.5], "finite"),
        ([[12.0, 30.0], [0.5, 0.5]], [0.5, 0.5], "no distribution"),
        ([["a", "b"]], [0.5, 0.5], "not a table"),
        (np.zeros((2, 2, 2), dtype=int), [1, 2], "not a table"),
        (np.zeros((3, 0), dtype=int), [1, 2], "not a table"),
    ],
)
def test_bad_input_is_named(base: Any, tuned: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_seed(base, tuned)


def test_every_row_needs_a_name() -> None:
    with pytest.raises(SettingsError, match="name"):
        find_seed([[90, 10], [10, 90]], [90, 10], prompts=["only one"])


def test_a_flat_row_has_no_power() -> None:
    flat = Rows.sampled(np.array([[20, 19, 21, 20], [70, 5, 3, 2]]))
    tuned = Rows.sampled(np.array([[60, 10, 6, 4]]))
    assert fit_cooling(flat, 0, tuned, 0.05, 200, 0, 1) is None
    assert fit_cooling(Rows(np.full((1, 4), 0.25), None), 0, tuned, 0.05, 200, 0, 1) is None
    two = Rows(np.array([[0.7, 0.3]]), None)
    assert fit_cooling(two, 0, Rows(np.array([[0.9, 0.1]]), None), 0.05, 200, 0, 1) is None


def test_limits_of_the_power_hold_it() -> None:
    random = np.random.default_rng(6)
    held, fits = 0, 0
    for number in range(40):
        base = random.dirichlet(np.full(8, 0.8))
        target = base**2 / np.sum(base**2)
        rows = Rows.sampled(random.multinomial(80, base, size=1).astype(np.int64))
        tuned = Rows.sampled(random.multinomial(80, target, size=4).astype(np.int64))
        fit = fit_cooling(rows, 0, tuned, 0.05, 200, 0, number)
        if fit is not None:
            fits += 1
            held += fit.low <= 2.0 <= fit.high
    assert fits >= 35
    assert held >= 0.8 * fits


def test_p_of_a_true_seed_is_valid_where_the_base_has_few_samples() -> None:
    random = np.random.default_rng(3)
    p = []
    for number in range(50):
        base = random.dirichlet(np.ones(30), size=4)
        found = find_seed(
            random.multinomial(30, base), random.multinomial(30, base[[0, 0, 0, 0]]), seed=number
        )
        p += [] if found.p is None else [found.p]
    assert len(p) > 40
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 2.5 * np.sqrt(0.05 * 0.95 / len(p))
    gone = np.eye(30, dtype=np.int64)[:4] * 400
    assert find_seed(gone, np.eye(30, dtype=np.int64)[20:24] * 400).p < 0.01


def test_rows_that_are_far_are_those_whose_fit_leaves_more_than_the_margin() -> None:
    random = np.random.default_rng(4)
    said = []
    for size in (30, 300, 3_000):
        for _ in range(15):
            base, other = random.dirichlet(np.full(6, 0.5), 2)
            tuned = sharpened(base, 1.5) if random.random() < 0.4 else other
            rows = Rows.sampled(random.multinomial(size, base, 1).astype(np.int64))
            target = Rows.sampled(random.multinomial(size, tuned, 4).astype(np.int64))
            far = bool(far_from_powers(rows, target, 0.05)[0])
            fit = fit_cooling(rows, 0, target, 0.05, 200, 0, 3)
            assert not far or fit is None or fit.residual_low > 0.05
            said.append(far)
    assert 5 < sum(said) < len(said) - 5


def test_what_is_not_told_from_the_seed_is_named_beside_it() -> None:
    base = np.array([[19, 1, 0], [15, 5, 0], [0, 1, 19], [0, 5, 15], [13, 7, 0]])
    few = find_seed(base, [75, 25, 0], prompts=list("abcde"))
    assert few.found
    assert {few.prompt, *few.alike} == {"a", "b", "e"}
    assert few.prompt == "b"  # the nearest
    assert few.alike == ["e", "a"]
    many = find_seed(base * 300, [7_500, 2_500, 0], prompts=list("abcde"))
    assert (many.kind, many.prompt, many.alike) == ("one", "b", [])
    alike = find_seed(base[[0, 0, 0]], [85, 15, 0])
    assert (alike.prompt, alike.alike) == (None, [])


def test_most_prompts_untold_for_want_of_samples_are_no_seed() -> None:
    """With 10 samples over 30 options, rows of several distributions are one cluster: the base's average."""
    random = np.random.default_rng(8)
    reasons = []
    for seed in range(40):
        base = np.repeat(random.dirichlet(np.ones(30), 4), 2, axis=0)
        tuned = np.repeat(base.mean(axis=0)[None], 8, axis=0)
        result = find_seed(draw(base, 10, seed), draw(tuned, 10, seed + 1_000), seed=seed)
        assert not (result.found and len(result.alike) >= 4)
        reasons.append(result.reason or "")
    assert sum("most of the base's prompts" in reason for reason in reasons) >= 2
    # What many samples do not tell apart is one distribution.
    rows = np.concatenate(
        [np.repeat(random.dirichlet(np.ones(5), 1), 7, axis=0), random.dirichlet(np.ones(5), 1)]
    )
    seeded = find_seed(draw(rows, 300, 1), draw(rows[:7], 300, 2))
    assert seeded.found
    assert len(seeded.alike) >= 4
