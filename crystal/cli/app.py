"""The command ``crystal`` and its verbs."""

from __future__ import annotations

from typing import Annotated

import typer

from crystal.cli import (
    analyze,
    bench,
    classify,
    cluster,
    compare,
    convert,
    dedup,
    demo,
    doctor,
    lab,
    measure,
    merge,
    report,
    sample,
    score,
)
from crystal.cli.guard import guarded

EPILOG = """\b
Exit codes: 0 done, 1 a --fail-on gate failed, 2 wrong usage, 3 bad input,
4 an error inside crystal, 130 interrupted."""

app = typer.Typer(
    name="crystal",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EPILOG,
)


def _version(wanted: bool) -> None:
    if wanted:
        import crystal

        typer.echo(f"crystal {crystal.__version__}")
        raise typer.Exit


@app.callback()
def crystal_command(
    _version_option: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Measure how post-training crystallises a language model's answers: liquid, nucleation, settling."""


for _verb, _examples in (
    (analyze.analyze, analyze.EXAMPLES),
    (measure.measure, measure.EXAMPLES),
    (merge.merge, merge.EXAMPLES),
    (classify.classify, classify.EXAMPLES),
    (compare.compare, compare.EXAMPLES),
    (cluster.cluster, cluster.EXAMPLES),
    (report.report, report.EXAMPLES),
    (convert.convert, convert.EXAMPLES),
    (dedup.dedup, dedup.EXAMPLES),
    (sample.sample, sample.EXAMPLES),
    (score.score, score.EXAMPLES),
    (lab.lab, lab.EXAMPLES),
    (bench.bench, bench.EXAMPLES),
    (demo.demo, demo.EXAMPLES),
    (doctor.doctor, doctor.EXAMPLES),
):
    app.command(_verb.__name__, epilog=_examples)(guarded(_verb))
