"""The folder of a comparison: ``comparison.html`` (one file, no network) and ``comparison.json``."""

from __future__ import annotations

from pathlib import Path

from crystal.atomic_write import atomic_files
from crystal.errors import SettingsError
from crystal.phases.compare_results import Comparison
from crystal.report.compare_text import HEADINGS, row, summary
from crystal.report.markup import Markup, tag

HTML, JSON = "comparison.html", "comparison.json"
FILES = (HTML, JSON)


def to_html(comparison: Comparison) -> str:
    """Return a comparison as one HTML page."""
    title = f"{comparison.a.ladder} and {comparison.b.ladder}"
    head = tag("tr", [tag("th", heading, scope="col") for heading in HEADINGS])
    rows = [
        tag("tr", tag("th", cells[0], scope="row"), [tag("td", cell) for cell in cells[1:]])
        for cells in (row(name, task) for name, task in comparison.tasks.items())
    ]
    style = Markup(
        "body{font:16px/1.5 system-ui,sans-serif;max-width:75em;margin:2em auto;padding:0 1em}"
        "table{border-collapse:collapse}th,td{padding:.2em .8em .2em 0;text-align:left;"
        "border-bottom:1px solid #8888}"
    )
    page = tag(
        "html",
        tag("head", tag("meta", charset="utf-8"), tag("title", title), tag("style", style)),
        tag(
            "body",
            tag("h1", title),
            [tag("p", sentence) for sentence in summary(comparison)],
            tag("table", tag("caption", "Task by task"), tag("thead", head), tag("tbody", rows)),
            tag("p", f"crystal {comparison.crystal_version}; all numbers are in {JSON}."),
        ),
        lang="en",
    )
    return f"<!doctype html>\n{page}\n"


def check_folder(out: str | Path, *, overwrite: bool = False) -> None:
    """Refuse a place that is a file, or a folder with other things in it.

    Raises
    ------
    SettingsError
        If nothing may be written there; ``overwrite`` allows folders with other things.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise SettingsError("the place for the comparison is a file", where=str(folder), expected="a folder")
    others = (
        sorted(path.name for path in folder.iterdir() if path.name not in FILES) if folder.is_dir() else []
    )
    if others and not overwrite:
        raise SettingsError(
            "the folder has other things in it",
            where=str(folder),
            got=", ".join(others[:3]),
            fix="choose another --out, or pass --overwrite",
        )


def write_folder(out: str | Path, comparison: Comparison) -> None:
    """Write both files, or neither."""
    with atomic_files(out, last=(JSON,)) as scratch:
        (scratch / HTML).write_text(to_html(comparison), encoding="utf-8")
        (scratch / JSON).write_bytes(comparison.to_json() + b"\n")
