"""Run sections of the evidence, keep their results, and write ``docs/evidence.md`` from all that are kept.

A section is a module of this package with

* ``TITLE``: the heading under which it stands,
* ``run(scale, progress) -> dict``: the campaign; `scale` multiplies the number of repetitions (1 is what the
  page shows, tests use less), ``progress(done, total)`` is called now and then; the result is plain JSON,
  with ``done``, the share of the campaign that was run, where it can be interrupted,
* ``page(results) -> str``: the section's Markdown, from the results alone,
* ``failures(results) -> list[str]``: the criteria that the results do not meet, a sentence each.

The results of every section are kept in ``results/SECTION.json``, so that one section can be run again alone
and the page is always made from what was measured.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

HERE = Path(__file__).parent
RESULTS = HERE / "results"
PAGE = HERE.parents[1] / "docs" / "evidence.md"
SECTIONS = tuple(
    name
    for name in (
        "intervals",
        "p_values",
        "usual_practice",
        "new_prompts",
        "verdicts",
        "picture",
        "needs_samples",
        "long_ladders",
        "seeds",
        "shared_seeds",
        "published",
        "known_answers",
        "clusters",
    )
    if (HERE / f"{name}.py").exists()
)
INTRODUCTION = """\
# Evidence: error rates on truth

Made by `make evidence`; do not edit. Every figure here was measured on data whose truth is known:
ladders planted by `crystal.testing.planted`, and published exact distributions that were sampled again.
What the criteria are, and why, is said with each section; a criterion that is not met is listed under
its section in words.
"""


def section(name: str) -> ModuleType:
    """Return the module of a section."""
    return importlib.import_module(f"benchmarks.evidence.{name}")


def measure(name: str, scale: float) -> dict[str, Any]:
    """Run one section and return its results with the cost and the scale."""
    started = time.process_time()

    def progress(done: int, total: int) -> None:
        if sys.stderr.isatty():
            print(f"\r{name}: {done} of {total}", end="", file=sys.stderr, flush=True)

    results = section(name).run(scale, progress)
    scale = round(scale * results.pop("done", 1.0), 2)
    return {"scale": scale, "cpu_seconds": round(time.process_time() - started), "results": results}


def write_page() -> list[str]:
    """Write the page from the kept results; return the criteria that are not met."""
    parts, unmet = [INTRODUCTION], []
    for name in SECTIONS:
        file = RESULTS / f"{name}.json"
        if not file.exists():
            continue
        kept = json.loads(file.read_text())
        module = section(name)
        failures = module.failures(kept["results"])
        unmet += [f"{name}: {failure}" for failure in failures]
        size = "the full size" if kept["scale"] == 1 else f"{kept['scale']:g} of the full size"
        verdict = "".join(f"\n- {failure}" for failure in failures) or " all are."
        parts.append(
            f"## {module.TITLE}\n\n{module.page(kept['results']).strip()}\n\n"
            f"Criteria that are {'not ' if failures else ''}met:{verdict}\n\n"
            f"({kept['cpu_seconds']} CPU-seconds, {size}.)\n"
        )
    PAGE.write_text("\n".join(parts))
    return unmet


def main() -> int:
    """Run what was asked for, then write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.evidence", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the repetitions (1)")
    parser.add_argument("--page", action="store_true", help="only write the page from the kept results")
    options = parser.parse_args()
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no such section: {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    RESULTS.mkdir(exist_ok=True)
    for name in () if options.page else options.sections or SECTIONS:
        kept = measure(name, options.scale)
        (RESULTS / f"{name}.json").write_text(json.dumps(kept, indent=1) + "\n")
    for failure in write_page():
        print(failure)
    print(f"written: {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
