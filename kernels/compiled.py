"""Compile every shipped configuration for every target, hold the code to the bar, and write ``compiled.md``.

``python -m crystal.kernels.compiled`` is what ``make kernels`` runs; it needs no GPU.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from triton import __version__ as triton_version

from .ahead_of_time import TARGETS, Launch, bind, compile_launch, record
from .disassembly import Anatomy, take_apart
from .shipped import FAMILIES, Case, Stream

FOLDER = Path(__file__).parent
TABLE = FOLDER / "compiled.md"


@dataclass(frozen=True, slots=True)
class Row:
    """One compiled kernel: where it belongs, what it is made of, and where it misses the bar."""

    family: str
    case: str
    kernel: str
    target: str
    anatomy: Anatomy
    stream: Stream | None
    misses: tuple[str, ...]

    @property
    def per_logit(self) -> float | None:
        """Instructions of the hot loop a logit, where there is such a loop."""
        return self.anatomy.loop / self.stream.logits if self.stream and self.anatomy.loop else None


def fingerprint() -> str:
    """Return the hash of what the table depends on: the kernels' sources (options among them) and Triton."""
    digest = hashlib.sha256(f"triton {triton_version}".encode())
    for path in sorted(FOLDER.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def written_fingerprint(table: Path = TABLE) -> str | None:
    """Return the fingerprint that a table was written for, None if there is no table."""
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    return next((line.split()[1].strip("`.") for line in lines if line.startswith("Fingerprint ")), None)


def misses(anatomy: Anatomy, stream: Stream | None, target: str) -> tuple[str, ...]:
    """Return what keeps a kernel from the bar, in words; empty if nothing does."""
    return tuple(_misses(anatomy, stream, target))


def _misses(anatomy: Anatomy, stream: Stream | None, target: str) -> Iterator[str]:
    if anatomy.spills:
        yield f"{anatomy.spills} spills"
    if anatomy.stack:
        yield f"{anatomy.stack} bytes of stack or scratch"
    if anatomy.atomics:
        yield f"{anatomy.atomics} atomic operations"
    if anatomy.narrow_strides:
        yield "32-bit products of " + ", ".join(anatomy.narrow_strides)
    if stream is None or target.startswith("gfx"):
        return
    if not anatomy.loop:
        yield "no loop that loads 128 bits at once"
        return
    if narrow := [load for load in anatomy.loads if not load.startswith("LDG.E.128")]:
        yield "narrow hot loads: " + ", ".join(narrow)
    if len(anatomy.loads) * 16 != stream.bytes:
        yield f"{len(anatomy.loads)} hot loads, {stream.bytes // 16} would read each logit once"
    if anatomy.exchanges:
        yield f"{anatomy.exchanges} barriers or exchanges between threads in the hot loop"
    if anatomy.loop_stores:
        yield f"{anatomy.loop_stores} stores in loops"
    if anatomy.stores > stream.stores:
        yield f"{anatomy.stores} stores"
    per_logit, limit = anatomy.loop / stream.logits, stream.limits.get(target)
    if limit is not None and per_logit > limit:
        yield f"{per_logit:.2f} instructions a logit, at most {limit:g} wanted"


@cache
def _distinct(family: str) -> tuple[tuple[Case, Launch], ...]:
    """Return the launches of a family, each once: two of one code differ in nothing that is compiled."""
    found: dict[str, tuple[Case, Launch]] = {}
    for case in FAMILIES[family]():
        for launch in record(case.launch):
            found.setdefault(f"{launch.name} {bind(launch, 'sm_90')}", (case, launch))
    return tuple(found.values())


def jobs(families: list[str] | None = None) -> list[tuple[str, int, str]]:
    """Return all that is to be compiled: family, number of its launch, target."""
    return [
        (family, index, target)
        for family in families or FAMILIES
        for index in range(len(_distinct(family)))
        for target in TARGETS
    ]


def name(job: tuple[str, int, str]) -> str:
    """Return the name of the case that a job belongs to."""
    return _distinct(job[0])[job[1]][0].name


def build(job: tuple[str, int, str]) -> Row:
    """Compile one job and check it."""
    family, index, target = job
    case, launch = _distinct(family)[index]
    stream = case.streams.get(launch.name)
    anatomy = take_apart(compile_launch(launch, target))
    return Row(family, case.name, launch.name, target, anatomy, stream, misses(anatomy, stream, target))


def table(rows: list[Row]) -> str:
    """Return the table as Markdown."""
    bad = [row for row in rows if row.misses]
    lines = [
        "# What the compiler makes of the kernels",
        "",
        "Written by `make kernels`; `make test` fails when it no longer belongs to the sources.",
        "",
        f"Fingerprint `{fingerprint()}`, Triton {triton_version}.",
        "",
        f"{len(rows)} kernels, {len(bad)} outside the bar.",
    ]
    lines += [
        f"* {row.family}, {row.case}, {row.kernel}, {row.target}: {'; '.join(row.misses)}" for row in bad
    ]
    head = "| configuration | kernel | target | registers | shared | spills | stack | hot loads | per logit |"
    for family in dict.fromkeys(row.family for row in rows):
        lines += ["", f"## {family}", "", head, "|---|---|---|---|---|---|---|---|---|"]
        for row in rows:
            if row.family == family:
                a, per_logit = row.anatomy, row.per_logit
                loads = f"{len(a.loads)} x 128 bits" if a.loads and not row.misses else ", ".join(a.loads)
                figure = f"{per_logit:.2f}" if per_logit is not None else ""
                lines.append(
                    f"| {row.case} | {row.kernel} | {row.target} | {a.registers} | {a.shared} | {a.spills} "
                    f"| {a.stack} | {loads} | {figure} |"
                )
    return "\n".join(lines) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Compile, check, write; the exit code is 1 where something misses the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="print only these")
    parser.add_argument("--output", type=Path, default=TABLE, help="where the table goes")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    todo = jobs(given.family)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        rows = []
        for done, row in enumerate(pool.map(build, todo), 1):
            rows.append(row)
            print(f"\r{done} of {len(todo)} kernels", end="", file=sys.stderr, flush=True)  # noqa: T201
    print(file=sys.stderr)  # noqa: T201
    text = table(rows)
    if given.family:
        print(text)  # noqa: T201
    else:
        given.output.write_text(text, encoding="utf-8")
    return int(any(row.misses for row in rows))


if __name__ == "__main__":
    sys.exit(main())
