"""``crystal cluster``: prompts in groups of like distributions."""

from __future__ import annotations

from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal cluster runs.crystal
  crystal cluster report --task coin --checkpoint base --json
  crystal cluster runs.crystal --method average --geometry hellinger --k 3"""


def cluster(
    path: options.Measurement,
    ladder: Annotated[
        str | None,
        typer.Option(
            "--ladder", metavar="NAME", help="Which ladder, where there are several.", show_default=False
        ),
    ] = None,
    task: Annotated[str | None, options.several("--task", "NAME", "Only these tasks.")] = None,
    checkpoint: Annotated[
        str | None, options.several("--checkpoint", "NAME", "Only these checkpoints.")
    ] = None,
    method: Annotated[
        str, typer.Option("--method", metavar="NAME", help="kmeans, average, complete or single.")
    ] = "kmeans",
    geometry: Annotated[str, typer.Option("--geometry", metavar="NAME", help="js or hellinger.")] = "js",
    k: Annotated[
        str, typer.Option("--k", metavar="auto|N", help="Groups, or as many as are shown to be there.")
    ] = "auto",
    alpha: options.Alpha = 0.05,
    seed: options.Seed = 0,
    order: options.Order = None,
    setting: options.Set = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Put the prompts of each task and checkpoint into groups of like answers.

    How many groups there are is tested: with samples, prompts of two groups are shown to have two
    distributions; with exact probabilities, groups are clouds with gaps between them.
    """
    from typing import cast

    import msgspec

    from crystal.cli.measurements import load
    from crystal.clustering.distributions import Geometry, Method
    from crystal.errors import SettingsError
    from crystal.phases.prompt_groups import prompt_groups
    from crystal.report.prompt_groups_text import to_text

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    if k != "auto" and not k.isdecimal():
        raise SettingsError("not a number of groups", where="--k", expected="auto or a number", got=repr(k))
    chosen = options.settings(alpha, seed, order, setting)
    measurement = load(path)
    with screen.progress() as progress:
        found = prompt_groups(
            measurement,
            ladder=ladder,
            tasks=options.names(task),
            checkpoints=options.names(checkpoint),
            method=cast("Method", method),
            geometry=cast("Geometry", geometry),
            k="auto" if k == "auto" else int(k),
            settings=chosen,
            progress=progress,
        )
    document = {
        "settings": {"method": method, "geometry": geometry, "k": k, "alpha": alpha, "seed": seed},
        "cells": [
            {**msgspec.to_builtins(one), "tests": [test._asdict() for test in one.tests]} for one in found
        ],
    }
    screen.result(document, to_text(found))
