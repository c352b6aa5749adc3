"""``crystal bench``: what this machine gives."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal bench --quick
  crystal bench --peers --out bench/
  crystal bench --only js-matrix,linkage --peers --json"""


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="Seconds, not minutes: small inputs.")] = False,
    peers: Annotated[
        bool, typer.Option("--peers", help="Race installed peers; their answers are checked first.")
    ] = False,
    only: Annotated[
        str | None,
        options.several(
            "--only", "NAME", "These operations alone; whole is reading, counting, and the whole analysis."
        ),
    ] = None,
    most: Annotated[
        int, typer.Option("--samples", metavar="N", help="Samples of the largest log.", min=10_000)
    ] = 10_000_000,
    out: Annotated[Path | None, options.out("DIR", "Write bench.json, bench.md and bench.svg there.")] = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Time each operation and the whole job on this machine.

    Rates are per CPU second of the best round, because other work on the machine changes those least; cores
    obtained stand beside them. Set CRYSTAL_THREADS for fewer threads.
    """
    import msgspec

    from crystal.benchmarking import run, words
    from crystal.benchmarking.picture import as_svg

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    plan = run.plan(quick=quick, only=options.names(only), most=most)
    with screen.progress() as progress:
        found = run.run(plan, with_peers=peers, progress=progress)
    if out is not None:
        from crystal.atomic_write import atomic_write

        out.mkdir(parents=True, exist_ok=True)
        encoded = msgspec.json.format(msgspec.json.encode(found), indent=2)
        atomic_write(out / "bench.json", encoded + b"\n")
        atomic_write(out / "bench.svg", as_svg(found).encode())
        atomic_write(out / "bench.md", words.as_markdown(found, "bench.svg").encode())
    screen.result(msgspec.to_builtins(found), words.as_text(found))
