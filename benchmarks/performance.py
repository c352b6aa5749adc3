"""Write docs/performance.md and its picture from a run of ``crystal bench``.

``python -m benchmarks.performance`` makes the run; with ``--from FOLDER`` it takes the one that
``crystal bench --out FOLDER`` has made.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from crystal.benchmarking import picture, run, words
from crystal.benchmarking.results import Findings

DOCS = Path(__file__).parents[1] / "docs"
MARK = "<!-- From here on written by make performance. -->\n"


def page(found: Findings, head: str) -> str:
    return head.split(MARK)[0] + MARK + words.as_markdown(found, "pictures/performance.svg")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write docs/performance.md.")
    parser.add_argument("--from", dest="folder", type=Path)
    given = parser.parse_args()
    if given.folder is not None:
        found = msgspec.json.decode((given.folder / "bench.json").read_bytes(), type=Findings)
    else:
        found = run.run(run.plan(quick=False), with_peers=True, progress=print)
    path = DOCS / "performance.md"
    path.write_text(page(found, path.read_text()))
    (DOCS / "pictures" / "performance.svg").write_text(picture.as_svg(found))
