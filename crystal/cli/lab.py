"""``crystal lab``: a small language model taken through post-training on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.guard import GATE
from crystal.cli.screen import Screen
from crystal.errors import SettingsError

EXAMPLES = """\b
Examples:
  crystal lab --out lab
  crystal lab --out lab --control foreign
  crystal lab --out lab --control all --seeds 0,1,2,3,4"""
_WORDS = {True: "true", False: "false", None: "null"}


def lab(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder of the runs; nothing in it is redone."),
    ] = Path("lab"),
    preset: Annotated[
        str,
        typer.Option("--preset", metavar="NAME", help="Size: small, full, or tiny (tests plumbing)."),
    ] = "small",
    control: Annotated[
        list[str] | None,
        typer.Option(
            "--control",
            metavar="NAME",
            help="What is done to the model: main, foreign, average, per-context, rl-outside, "
            "more-pretraining, rl-from-base, blind-reward, or all; repeat.",
            show_default="main",
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option("--seeds", "--seed", metavar="N,...", help="Seeds; each is a run of its own.")
    ] = "0",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Take a small language model through pretraining, SFT, DPO and RL, and analyse its checkpoints.

    Needs torch. A run leaves samples.parquet, exact.parquet, the same of what post-training never saw,
    tasks.toml, truth.json and report/ in DIR/PRESET-SEED/CONTROL; its checkpoints are in
    DIR/PRESET-SEED/phases. Killed, it goes on where it was. Exit code 1 if a verdict is not an
    expected one (not with tiny).
    """
    from crystal.lab.presets import CONTROLS

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    names = control or ["main"]
    names = list(CONTROLS) if "all" in names else list(dict.fromkeys(names))
    numbers = _numbers(seeds)
    _need_torch()
    from crystal.lab.run import Run

    runs = [Run(out, name, preset, seed) for seed in numbers for name in names]
    found = []
    for run in runs:
        screen.say(f"{run.ladder}: {run.kind.says}")
        with screen.progress() as progress:
            result = run.go(progress)
        found.append(result)
        wanted = " or ".join(_WORDS[value] for value in result["expected"])
        parts = ", ".join(
            f"{name} {_WORDS[part['holds']]} ({part['yes']} yes, {part['no']} no of {part['tasks']})"
            for name, part in result["clauses"].items()
        )
        screen.say(f"  picture expected {wanted}, found {_WORDS[result['found']]}: {parts}")
    right = sum(result["as_expected"] for result in found)
    lines = [
        f"{'ok ' if result['as_expected'] else 'NOT'} {result['ladder']:36} expected "
        f"{' or '.join(_WORDS[value] for value in result['expected']):14} found {_WORDS[result['found']]}"
        for result in found
    ]
    lines.append(f"{right} of {len(found)} as expected; reports in {out}/{preset}-SEED/CONTROL/report")
    screen.result({"runs": found, "as_expected": right}, "\n".join(lines))
    if right < len(found) and preset != "tiny":
        raise typer.Exit(GATE)


def _numbers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = [-1]
    if min(found) < 0:
        raise SettingsError(
            "not seeds", where="--seeds", expected="whole numbers from 0, with commas", got=repr(text)
        )
    return list(dict.fromkeys(found))


def _need_torch() -> None:
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise SettingsError(
            "the laboratory needs torch", where="crystal lab", fix="install the extra lab, or torch itself"
        )
