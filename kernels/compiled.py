"""Compile every shipped configuration for every target, hold the code to the bar, and write ``compiled.md``.

``python -m crystal.kernels.compiled`` is what ``make kernels`` runs; it needs no GPU. With ``--stale`` it
only says, by its exit code 0, whether the table no longer belongs to the sources.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from triton import knobs

from .ahead_of_time import TARGETS, Launch, bind, compile_launch, record
from .disassembly import Anatomy, take_apart
from .shipped import FAMILIES, Case, Stream

FOLDER = Path(__file__).parent
TABLE = FOLDER / "compiled.md"
Job = tuple[str, int, str]


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
    """Return the hash of what the table depends on: the sources here (they name the options) and Triton."""
    digest = hashlib.sha256(f"triton {version('triton')}".encode())
    for path in sorted(FOLDER.glob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def written_fingerprint(table: Path = TABLE) -> str | None:
    """Return the fingerprint that a table was written for, None if there is no table."""
    lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else []
    return next((line.split("`")[1] for line in lines if line.startswith("Fingerprint ")), None)


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
        yield f"{anatomy.stores} stores, at most {stream.stores} wanted"
    per_logit, limit = anatomy.loop / stream.logits, stream.limits.get(target)
    if limit is not None and per_logit > limit:
        yield f"{per_logit:.2f} instructions a logit, at most {limit:g} wanted"
    if stream.rest and (ratio := unaligned(anatomy, stream)) > 1.3:
        yield f"rows that are not aligned cost {ratio:.2f} times as much, at most 1.3 wanted"


def unaligned(anatomy: Anatomy, stream: Stream, turns: int = 32) -> float:
    """Return how many times the instructions of an aligned row a row that is not aligned needs, at worst.

    The worst vocabulary is one of `turns` whole tiles: off the boundary, one of them is read under a mask.
    """
    straight = anatomy.instructions - anatomy.loop - anatomy.rest
    masked = -(-stream.logits // stream.rest)
    worst = straight + (turns - 1) * anatomy.loop + masked * anatomy.rest
    return worst / (straight + turns * anatomy.loop)


@cache
def _distinct(family: str) -> tuple[tuple[Case, Launch], ...]:
    """Return the launches of a family; those that Triton compiles to the same code only once."""
    found: dict[str, tuple[Case, Launch]] = {}
    for case in FAMILIES[family]():
        for launch in record(case.launch):
            found.setdefault(f"{launch.name} {bind(launch, 'sm_90')}", (case, launch))
    return tuple(found.values())


def jobs(families: list[str] | None = None) -> list[Job]:
    """Return all that is to be compiled: family, number of its launch, target."""
    return [
        (family, index, target)
        for family in families or FAMILIES
        for index in range(len(_distinct(family)))
        for target in TARGETS
    ]


def name(job: Job) -> str:
    """Return the name of the case that a job belongs to."""
    return _distinct(job[0])[job[1]][0].name


def build(job: Job) -> Row:
    """Compile one job and check it."""
    family, index, target = job
    case, launch = _distinct(family)[index]
    stream = case.streams.get(launch.name)
    anatomy = _anatomy(launch, target)
    return Row(family, case.name, launch.name, target, anatomy, stream, misses(anatomy, stream, target))


def _anatomy(launch: Launch, target: str) -> Anatomy:
    """Return the anatomy of a launch, kept beside Triton's own cache: looking takes longer than compiling."""
    folder = Path(knobs.cache.dir) / "crystal"
    look = [(FOLDER / f"{name}.py").read_text(encoding="utf-8") for name in ("ahead_of_time", "disassembly")]
    code = launch.kernel.cache_key, bind(launch, target), target, version("triton"), look
    file = folder / f"{hashlib.sha256(repr(code).encode()).hexdigest()}.json"
    if file.exists():
        kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        kept |= {name: tuple(kept[name]) for name in ("loads", "narrow_strides")}
        return Anatomy(**kept)
    found = take_apart(compile_launch(launch, target))
    folder.mkdir(parents=True, exist_ok=True)
    whole = file.with_suffix(f".{os.getpid()}")
    whole.write_text(json.dumps(asdict(found)), encoding="utf-8")
    whole.replace(file)
    return found


def table(rows: list[Row], fingerprint: str) -> str:
    """Return the table as Markdown, for the sources with this fingerprint."""
    bad = [row for row in rows if row.misses]
    lines = [
        "# What the compiler makes of the kernels",
        "",
        "Written by `make kernels`, without a GPU; `make test` fails when it does not belong to the sources.",
        'What the columns mean: docs/tokens.md, "What the compiler makes of it".',
        "",
        f"Fingerprint `{fingerprint}`, Triton {version('triton')}.",
        "",
        f"{len(rows)} compiled kernels, {len(bad)} outside the bar{':' if bad else '.'}",
        *([""] if bad else []),
    ]
    lines += [f"* {where(row)}: {'; '.join(row.misses)}" for row in bad]
    for family in dict.fromkeys(row.family for row in rows):
        lines += ["", f"## {family}", "", f"| configuration | kernel | {' | '.join(TARGETS)} |"]
        lines.append("|---" * (len(TARGETS) + 2) + "|")
        kernels: dict[tuple[str, str], dict[str, str]] = {}
        for row in rows:
            if row.family == family:
                kernels.setdefault((row.case, row.kernel), {})[row.target] = _cell(row)
        for (case, kernel), cells in kernels.items():
            lines.append(f"| {case} | {kernel} | {' | '.join(cells[target] for target in TARGETS)} |")
    return "\n".join(lines) + "\n"


def where(row: Row) -> str:
    """Return the place of a row, in words."""
    return f"{row.family}, {row.case}, {row.kernel}, {row.target}"


def _cell(row: Row) -> str:
    a, parts = row.anatomy, [f"{row.anatomy.registers}r {row.anatomy.shared}s"]
    if a.spills or a.stack:
        parts.append(f"{a.spills} spills {a.stack} stack")
    if row.per_logit is not None:
        parts.append(f"{len(a.loads)}x{16 if not row.misses else '?'}B **{row.per_logit:.2f}**")
    return " ".join(parts)


def main(arguments: list[str] | None = None) -> int:
    """Compile, check, write; the exit code is 1 where something misses the bar."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=list(FAMILIES), help="print only these")
    parser.add_argument("--output", type=Path, default=TABLE, help="where the table goes")
    parser.add_argument(
        "--stale", action="store_true", help="exit with 0 if the table is out of date, else 1"
    )
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args(arguments)
    if given.stale:
        return int(fingerprint() == written_fingerprint())
    # Of the sources that are compiled, not of what they may have become meanwhile.
    todo, sources = jobs(given.family), fingerprint()
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        rows = []
        for done, row in enumerate(pool.map(build, todo), 1):
            rows.append(row)
            if sys.stderr.isatty() or done % 40 == 0 or done == len(todo):
                print(f"{done} of {len(todo)} kernels compiled", file=sys.stderr)  # noqa: T201
    text = table(rows, sources)
    if given.family:
        print(text)  # noqa: T201
    else:
        given.output.write_text(text, encoding="utf-8")
    for row in rows:
        if row.misses:
            print(where(row), *row.misses, sep="; ", file=sys.stderr)  # noqa: T201
    return int(any(row.misses for row in rows))


if __name__ == "__main__":
    sys.exit(main())
