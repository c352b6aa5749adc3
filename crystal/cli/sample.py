"""``crystal sample``: the task suite's answers drawn from a model, or scored exactly."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from crystal.cli import options
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal sample --model checkpoints/base --out base.parquet --checkpoint mine/base/0 --exact
  crystal sample --model checkpoints/sft --out sft.parquet --checkpoint mine/sft/1000 --samples 100
  crystal sample --server http://127.0.0.1:8000/v1 --model NAME --out rl.parquet --checkpoint mine/rl/2000
  crystal analyze base.parquet sft.parquet rl.parquet --out report --tasks default"""


def sample(
    model: options.Model,
    out: options.TableOut,
    checkpoint: Annotated[str, options.under("File the rows under this checkpoint.")],
    server: Annotated[
        str | None,
        typer.Option(
            "--server",
            metavar="URL",
            help="Ask an OpenAI-compatible server, as in http://127.0.0.1:8000/v1; --model: its name there.",
            show_default=False,
        ),
    ] = None,
    tasks: Annotated[
        str, typer.Option("--tasks", metavar="default|FILE.toml", help="The tasks to ask about.")
    ] = "default",
    only: Annotated[str | None, options.several("--only", "TASK", "Ask about these of them.")] = None,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Score the listed options instead of drawing: exact distributions."),
    ] = False,
    samples: Annotated[int, typer.Option("--samples", "-n", help="Samples of each prompt.")] = 50,
    histories: Annotated[
        int,
        typer.Option(
            "--histories", help="Add so many prompts a task with earlier draws before the question."
        ),
    ] = 0,
    history_length: Annotated[int, typer.Option("--history-length", help="Earlier draws in each.")] = 5,
    rendering: Annotated[
        str,
        options.rendering(
            "How prompts are asked. auto is completion for a stage base, else chat where possible."
        ),
    ] = "auto",
    temperature: options.Temperature = 1.0,
    top_p: Annotated[float, typer.Option("--top-p", help="Draw from the fewest tokens that reach it.")] = 1.0,
    top_k: Annotated[int, typer.Option("--top-k", help="Draw from the k most probable tokens; 0: all.")] = 0,
    max_tokens: Annotated[int, typer.Option("--max-tokens", help="Most tokens of a reply.")] = 16,
    seed: options.Seed = 0,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    concurrency: Annotated[int, typer.Option("--concurrency", help="Server: requests at one time.")] = 8,
    choices: Annotated[int, typer.Option("--choices", help="Server: samples of one request.")] = 16,
    rate: Annotated[
        float | None,
        typer.Option("--rate", metavar="NUMBER", help="Server: most requests a second.", show_default=False),
    ] = None,
    retries: Annotated[int, typer.Option("--retries", help="Server: attempts after the first.")] = 5,
    timeout: Annotated[float, typer.Option("--timeout", help="Server: seconds for a request.")] = 120.0,
    key_env: Annotated[
        str, typer.Option("--key-env", metavar="NAME", help="Server: environment variable with the API key.")
    ] = "CRYSTAL_API_KEY",
    extra: Annotated[
        str | None,
        typer.Option(
            "--extra", metavar="JSON", help="Server: further members of each request.", show_default=False
        ),
    ] = None,
    restart: options.Restart = False,
    on_error: Annotated[
        str,
        typer.Option(
            "--on-error",
            metavar="collect|raise",
            help="Leave out what gets no answer and go on, or stop at it.",
        ),
    ] = "collect",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Draw the task suite from a model into a sample table.

    The model is a folder of transformers, which needs torch and transformers, or stands on a server. With
    --exact the options of each task are scored instead: few samples of a small base model are valid answers.
    A run that was cut off goes on where it was. Failed requests are listed beside FILE, in
    FILE.rejected.jsonl.
    """
    from crystal.readers.sample_file import check_target
    from crystal.report.folder import write_rejected
    from crystal.report.words import many
    from crystal.sampling.sample import sample as run
    from crystal.sampling.server import Server

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    check_target(out)
    source: Any = model
    if server is not None:
        source = Server(
            url=server,
            model=model,
            key_env=key_env,
            concurrency=concurrency,
            choices=choices,
            rate=rate,
            retries=retries,
            timeout=timeout,
            extra=_extra(extra),
        )
    with screen.progress() as progress:
        try:
            done = run(
                source,
                tasks,
                out,
                checkpoint=checkpoint,
                exact=exact,
                samples=samples,
                only=options.names(only),
                histories=histories,
                history_length=history_length,
                rendering=rendering,
                temperature=temperature,
                top_p=top_p,
                top_k=top_k,
                max_tokens=max_tokens,
                seed=seed,
                device=device,
                dtype=dtype,
                restart=restart,
                on_error=on_error,
                progress=progress,
            )
        except KeyboardInterrupt:
            screen.say(f"what is done so far lies in {out}.parts; the same command goes on from there")
            raise
    if rejected := write_rejected(done.failures, out):
        screen.say(f"{many(len(done.failures), 'request')} failed; see {rejected}")
    if done.missing:
        screen.say(f"{many(done.missing, 'unit')} of work got no answer; the same command asks again")
    if done.resumed:
        screen.say(f"took {many(done.resumed, 'unit')} of work from an earlier run")
    document = {
        "path": str(out),
        "rows": done.rows,
        "tokens": done.tokens,
        "units": done.units,
        "missing": done.missing,
        "failed_requests": len(done.failures),
        "rendering": done.rendering,
        "units_resumed": done.resumed,
    }
    what = many(done.rows, "exact option" if exact else "sample")
    screen.result(document, f"wrote {out}: {what} of {many(done.units, 'unit')} of work ({done.rendering})")


def _extra(text: str | None) -> dict[str, Any]:
    """Read ``--extra``."""
    import json

    from crystal.errors import SettingsError

    try:
        members = json.loads(text or "{}")
    except ValueError as error:
        raise SettingsError(f"not JSON: {error}", where="--extra") from error
    if not isinstance(members, dict):
        raise SettingsError("not an object", where="--extra", expected='{"NAME": VALUE}', got=str(text))
    return members
