"""Two known answers: what real ladders are known to show, and what the report says of them, word by word."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import crystal
from benchmarks.evidence.cells import markdown
from benchmarks.evidence.worlds import published_folder
from crystal.statistics.divergence import js_divergence

TITLE = "Two known answers"

FAMILY = "verb"
KNOWN_PROMPTABILITY = (0.008, 0.060, 0.076, 0.079)
"""Bits, base to RL: mean over the ten closed sets of the JSD between the two framings."""
BASE, TUNED = "meta-llama_Llama-3.1-8B", "meta-llama_Llama-3.1-8B-Instruct"
PLAIN = "unconditional"
KNOWN_NEAREST = 0.486
NOT_AT_HAND = "Not measured: the published data were not at hand (`../shared/data`)."


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Analyse both published data sets whole; there is nothing to repeat, so `scale` changes nothing."""
    del scale
    folder = published_folder()
    closed = folder and folder.parent / "tulu3-8b" / "closed_set_probabilities.json"
    if folder is None or closed is None or not closed.exists():
        return {"published": False}
    progress(0, 2)
    tulu = _tulu(closed)
    progress(1, 2)
    return {"published": True, "tulu": tulu, "number": _number(folder / "random_number_token_probs.jsonl.gz")}


def _tulu(file: Path) -> dict[str, Any]:
    (ladder,) = crystal.analyze(file).ladders.values()
    rungs = [rung.checkpoint for rung in ladder.checkpoints]
    found = [
        [task.families[FAMILY].checkpoints[rung].metrics["promptability"].value for rung in rungs]
        for task in ladder.tasks.values()
    ]
    liquid = ladder.clauses["liquid"]
    return {
        "checkpoints": rungs,
        "promptability": [round(float(value), 4) for value in np.mean(np.array(found, dtype=float), axis=0)],
        "picture": ladder.picture_holds,
        "liquid": liquid.holds,
        "tasks": liquid.tasks,
        "refuted": liquid.tasks_refuted,
        "said": [
            line
            for line in ladder.evidence
            if line.startswith(("The picture", "Liquid", "The base is less promptable"))
        ],
    }


def _number(file: Path) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    with gzip.open(file, "rt") as lines:
        for line in lines:
            row = json.loads(line)
            if row["model"] == BASE or (row["model"] == TUNED and row["kind"] == PLAIN):
                rows.append({**row, "stage": "base" if row["model"] == BASE else "sft", "place": len(rows)})
    base, tuned = (_normal([row["p"] for row in rows if row["stage"] == stage]) for stage in ("base", "sft"))
    seed = crystal.find_seed(base, tuned[0])
    (task,) = crystal.classify(crystal.measure(_table(rows))).ladders["llama"].tasks.values()
    reported = task.families[PLAIN].seed
    return {
        "prompts": len(base),
        "nearest": round(float(np.asarray(js_divergence(base, tuned[0])).min()), 4),
        "kind": seed.kind,
        "found": seed.found,
        "said": seed.reason,
        "report": None if reported is None else [reported.kind, reported.found, reported.reason],
    }


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(
        [
            {
                "ladder": "llama",
                "stage": row["stage"],
                "step": int(row["stage"] == "sft"),
                "checkpoint": row["model"],
                "task": "num10",
                "prompt": PLAIN if row["kind"] == PLAIN else f"{row['kind']}-{row['place']}",
                "family": row["kind"],
                "option": str(option + 1),
                "probability": p,
            }
            for row in rows
            for option, p in enumerate(row["p"])
        ]
    )


def _normal(rows: list[list[float]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    p = np.array(rows)
    result: np.ndarray[Any, np.dtype[np.float64]] = p / p.sum(axis=1, keepdims=True)
    return result


def page(results: dict[str, Any]) -> str:
    """Show the numbers, and quote what the report says of them."""
    if not results["published"]:
        return NOT_AT_HAND
    tulu, number = results["tulu"], results["number"]
    header = ["", *tulu["checkpoints"]]
    measured = ["promptability, bit", *(f"{value:.3f}" for value in tulu["promptability"])]
    known = ["known", *(f"{value:.3f}" for value in KNOWN_PROMPTABILITY)]
    return "\n\n".join(
        [
            "Two findings on published exact distributions were known before they were analysed, and both go "
            "against the picture. Indented words are the report's own.",
            f"**Tulu 3 8B: the base is less promptable than what was tuned from it.** {tulu['tasks']} closed "
            f"sets, two framings (family `{FAMILY}`), mean promptability over the tasks:",
            markdown(header, [measured, known]),
            "`crystal analyze` says:",
            "\n".join(f"> {line}\n>" for line in tulu["said"]).removesuffix("\n>"),
            "**Llama 3.1 8B: no seed among the base's prompts.** Its instruct model, asked for a number from "
            f"1 to 10, against {number['prompts']} prompts of its base: the nearest is "
            f"{number['nearest']:.3f} bit away (known: {KNOWN_NEAREST}). `crystal.find_seed`: kind "
            f"`{number['kind']}`, found {str(number['found']).lower()}:",
            f"> {number['said']}",
            "From the log on, the report's entry for that family:",
            f"> {_entry(number['report'])}",
        ]
    )


def _entry(report: list[Any] | None) -> str:
    return "none" if report is None else f"kind {report[0]}, found {str(report[1]).lower()}: {report[2]}"


def failures(results: dict[str, Any]) -> list[str]:
    """Name each answer that is not the known one, and each that is not said in words."""
    if not results["published"]:
        return [NOT_AT_HAND]
    tulu, number = results["tulu"], results["number"]
    unmet = []
    if not np.allclose(tulu["promptability"], KNOWN_PROMPTABILITY, atol=0.002):
        unmet.append(f"Tulu: promptability {tulu['promptability']}, known {list(KNOWN_PROMPTABILITY)}")
    if tulu["liquid"] is not False or tulu["picture"] is not False:
        unmet.append(f"Tulu: liquid {tulu['liquid']}, picture {tulu['picture']}; both are false")
    if not any(line.startswith("The base is less promptable") for line in tulu["said"]):
        unmet.append("Tulu: the report does not say that the base is less promptable")
    if abs(number["nearest"] - KNOWN_NEAREST) > 0.005:
        unmet.append(f"Llama: the nearest base prompt is {number['nearest']} bit away, known {KNOWN_NEAREST}")
    if (number["kind"], number["found"]) != ("none", False) or "no blend" not in (number["said"] or ""):
        unmet.append(f"Llama: seed {number['kind']}, {number['said']!r}; there is none")
    if number["report"] is None or number["report"][:2] != ["none", False]:
        unmet.append(f"Llama: the report's seed is {number['report']}; there is none")
    return unmet
