"""What is known of public base and instruct pairs, from their exact probabilities of numbers."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import crystal
from crystal.statistics.divergence import js_divergence

Rows = dict[str, list[dict[str, Any]]]
BASE, TUNED = "meta-llama_Llama-3.1-8B", "meta-llama_Llama-3.1-8B-Instruct"
MISTRAL = ("mistralai_Mistral-7B-v0.3", "mistralai_Mistral-7B-Instruct-v0.3")


@pytest.fixture(scope="module")
def number(shared_data: Path) -> Rows:
    by_model: Rows = {}
    with gzip.open(shared_data / "coin-and-number" / "random_number_token_probs.jsonl.gz", "rt") as lines:
        for line in lines:
            row = json.loads(line)
            by_model.setdefault(row["model"], []).append(row)
    return by_model


def of_kind(rows: list[dict[str, Any]], *kinds: str) -> np.ndarray:
    p = np.array([row["p"] for row in rows if row["kind"] in kinds])
    return p / p.sum(axis=1, keepdims=True)


def test_the_instruct_model_has_no_seed_among_325_base_prompts(
    number: dict[str, list[dict[str, Any]]],
) -> None:
    base = of_kind(number[BASE], "unconditional", "biased", "filler_context", "filler_plus_bias")
    tuned = of_kind(number[TUNED], "unconditional")[0]
    assert base.shape == (325, 10)
    # Nearly all of it on 7 and 8; the nearest base prompt is half a bit away.
    assert tuned.argsort()[-2:].tolist() == [7, 6]
    assert float(np.asarray(js_divergence(base, tuned)).min()) == pytest.approx(0.486, abs=0.005)
    result = crystal.find_seed(base, tuned)
    assert result.kind == "none"
    assert result.found is False
    assert result.reason == "no blend of the base's tested prompts comes near the tuned behaviour"
    assert result.residual_share is not None
    assert result.residual_share > 1 / 3


def test_the_tool_says_so_from_the_log_on(number: Rows) -> None:
    pairs = {"llama": (BASE, TUNED), "mistral": MISTRAL}
    measurements = []
    for ladder, models in pairs.items():
        rows = [
            {
                "ladder": ladder,
                "stage": stage,
                "step": step,
                "checkpoint": f"{ladder}-{stage}",
                "task": "num10",
                "prompt": f"{row['kind']}-{row['context_len']}-{place}",
                "family": row["kind"],
                "option": str(option + 1),
                "probability": p,
            }
            for model, stage, step in zip(models, ("base", "sft"), (0, 1), strict=True)
            for place, row in enumerate(number[model])
            if row["kind"] in {"unconditional", "filler_context"}
            for option, p in enumerate(row["p"])
        ]
        measurements.append(crystal.measure(pa.Table.from_pylist(rows)))
    report = crystal.classify(measurements[0])
    seed = report.ladders["llama"].tasks["num10"].seed
    assert seed is not None
    assert (seed.kind, seed.found) == ("none", False)
    compared = crystal.compare(*measurements).tasks["num10"]
    assert compared.kinds[0] == "none"
    assert compared.seed.verdict == "UNDETERMINED"
    assert compared.seed.reason is not None
    assert "llama has no seed that was found (no blend of the base's tested prompts" in compared.seed.reason
    # More alike than by chance, and still not the same.
    assert compared.tuned.verdict == "DIFFERENT"
    assert compared.tuned.control_p is not None
    assert compared.tuned.control_p < 0.05
