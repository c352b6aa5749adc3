"""``crystal score``: log-probability and entropy of every token of saved texts, under a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from crystal.cli import options
from crystal.cli.screen import Screen

EXAMPLES = """\b
Examples:
  crystal score --model checkpoints/sft --samples samples.jsonl --out scored.parquet
  crystal score --model checkpoints/base --samples runs/ --out base.parquet --checkpoint mine/base/0
  crystal analyze base.parquet sft.parquet --out report"""


def score(
    model: options.Model,
    samples: Annotated[
        list[Path],
        typer.Option(
            "--samples",
            "-s",
            metavar="FILE",
            help="Logs of samples, or folders of logs; repeat.",
            show_default=False,
        ),
    ],
    out: options.TableOut,
    checkpoint: Annotated[
        str | None, options.under("File the samples under this checkpoint; without it they keep their own.")
    ] = None,
    rendering: Annotated[
        str,
        options.rendering(
            "How the prompt stands before the text: in the chat template or as it is. auto is chat if the "
            "tokenizer has a template and --checkpoint is no base."
        ),
    ] = "auto",
    temperature: options.Temperature = 1.0,
    max_length: Annotated[
        int | None,
        typer.Option(
            "--max-length",
            metavar="TOKENS",
            help="Refuse longer samples; by default what the model takes.",
            show_default=False,
        ),
    ] = None,
    batch_tokens: Annotated[
        int, typer.Option("--batch-tokens", help="Most positions at once: decides memory and speed.")
    ] = 8192,
    device: options.Device = "auto",
    dtype: options.Dtype = "auto",
    restart: options.Restart = False,
    log_format: options.Format = "auto",
    tasks: options.Tasks = None,
    field_map: options.Map = None,
    on_error: options.OnError = "collect",
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> None:
    """Score saved texts under a checkpoint.

    Reads each text behind its prompt and writes the sample table with log-probability and entropy (nats) of
    every token, which analyze then reports. Needs torch and transformers. A run that was cut off goes on
    where it was. Samples that cannot be scored are listed beside FILE, in FILE.rejected.jsonl.
    """
    from crystal.readers.sample_file import check_target
    from crystal.report.folder import write_rejected
    from crystal.report.words import many
    from crystal.sampling.score import score as run

    screen = Screen(as_json=as_json, quiet=quiet, debug=debug)
    check_target(out)
    with screen.progress() as progress:
        try:
            done = run(
                model,
                list(samples),
                out,
                checkpoint=checkpoint,
                rendering=rendering,
                temperature=temperature,
                max_length=max_length,
                device=device,
                dtype=dtype,
                batch_tokens=batch_tokens,
                restart=restart,
                on_error=on_error,
                progress=progress,
                format=log_format,
                tasks=tasks,
                mapping=options.mapping(field_map),
            )
        except KeyboardInterrupt:
            screen.say(f"what is done so far lies in {out}.parts; the same command goes on from there")
            raise
    if rejected := write_rejected(done.rejections, out):
        screen.say(f"refused {many(len(done.rejections), 'record')}; see {rejected}")
    if done.resumed:
        screen.say(f"took {many(done.resumed, 'part')} from an earlier run")
    document = {
        "path": str(out),
        "rows": done.rows,
        "tokens": done.tokens,
        "rejected": len(done.rejections),
        "rendering": done.rendering,
        "parts_resumed": done.resumed,
    }
    counts = f"{many(done.rows, 'sample')}, {many(done.tokens, 'token')}"
    screen.result(document, f"wrote {out}: {counts} ({done.rendering})")
