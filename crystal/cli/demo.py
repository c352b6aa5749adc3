"""``crystal demo``: the main job on a real, small language model whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystal.cli import options
from crystal.cli.analyze import show
from crystal.cli.screen import Screen

if TYPE_CHECKING:
    from crystal.phases.results import LadderResult

DATASET = "lab-small"
TABLES = {"main": "samples", "foreign": "exact", "rl-outside": "exact"}
"""What is analysed of each run: exact probabilities take a second, replies a quarter of a minute."""
EXAMPLES = """\b
Examples:
  crystal demo
  crystal demo --out my-demo --json"""


def demo(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder of the reports, one folder a run."),
    ] = Path("demo-report"),
    seed: options.Seed = 0,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Analyse the ladder that comes with crystal, and say what was found beside what is true.

    It is a language model of 0.36M weights that crystal lab took through pretraining, SFT, DPO and RL, and
    two controls that break the picture. The main run is judged by its replies, the controls by the exact
    probabilities of their options. Leaves the files of an analysis in a folder of DIR
    for each run.
    """
    from crystal import analysis, datasets
    from crystal.report.folder import check_folder

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    data = datasets.load(DATASET)
    for name in TABLES:
        if replaced := check_folder(out / name, overwrite=overwrite):
            screen.say(f"replacing {replaced}")
    found: list[dict[str, Any]] = []
    for name, table in TABLES.items():
        run = data.runs[name]
        truth = run.truth
        screen.say(f"{name}: {truth['says']} ({table})")
        with screen.progress() as progress:
            report = analysis.analyze(
                [run.path(table)],
                out / name,
                tasks=data.tasks,
                seed=seed,
                overwrite=overwrite,
                progress=progress,
            )
        if name == "main" and not as_json:
            show(report, screen)
        found.append(_beside(truth, report.ladders[truth["ladder"]], out / name / "report.html"))
    screen.result({"dataset": DATASET, "runs": found}, _table(found))
    screen.say(f"Analyse its samples again: crystal analyze {data.runs['main'].samples} --tasks {data.tasks}")
    screen.say("The reports: " + ", ".join(run["report"] for run in found))


def _beside(truth: dict[str, Any], ladder: LadderResult, report: Path) -> dict[str, Any]:
    """Put what was found beside what is true; a seed is right if it is of the source that SFT was on."""
    sources = {task: own["seed"] for task, own in truth["tasks"].items() if task in ladder.tasks}
    named = {name: task.seed.prompt if task.seed else None for name, task in ladder.tasks.items()}
    right = [(named[task] or "").startswith(f"{source}/") for task, source in sources.items() if source]
    return {
        "run": truth["control"],
        "says": truth["says"],
        "true": {
            "picture_holds": True in truth["expected"]["picture_holds"],
            "refuted": truth["expected"]["refuted"],
        },
        "found": {
            "picture_holds": ladder.picture_holds,
            "clauses": {name: clause.holds for name, clause in ladder.clauses.items()},
        },
        "seeds": {"tasks": len(right), "right": sum(right)} if right else None,
        "report": str(report),
    }


def _table(runs: list[dict[str, Any]]) -> str:
    rows = [
        ("run", "the picture", "found", "clauses found: liquid, nucleation, settling", "seeds named right")
    ]
    for run in runs:
        clauses = ", ".join(_WORDS[holds] for holds in run["found"]["clauses"].values())
        broken = run["true"]["refuted"]
        true = f"{_WORDS[run['true']['picture_holds']]}{f': no {broken}' if broken else ''}"
        seeds = f"{run['seeds']['right']} of {run['seeds']['tasks']}" if run["seeds"] else "has none"
        rows.append((run["run"], true, _WORDS[run["found"]["picture_holds"]], clauses, seeds))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "─" * max(map(len, lines)), *lines[1:]])


_WORDS = {True: "yes", False: "no", None: "unknown"}
