"""``crystal.score``: what a checkpoint thinks of saved texts, token by token."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from crystal.errors import InputError, SettingsError
from crystal.ops.token_inputs import check_temperature
from crystal.readers.paths import CheckpointRule, Place
from crystal.readers.rejections import Judge, Rejection, Rejections
from crystal.readers.sample_file import check_apart, check_target, write_samples
from crystal.readers.stream import SampleStream, read
from crystal.sampling import models
from crystal.sampling.forcing import Forcing
from crystal.sampling.models import Model
from crystal.sampling.parts import Note, Parts, Stamp, digest, finished
from crystal.sampling.rendering import Renderer, Request, Tokens
from crystal.sampling.token_columns import filled, with_value

Progress = Callable[[str, int, int | None], None]
_KINDS = (".parquet", ".arrow")


@dataclass
class Scored:
    """What became of a run of :func:`score`."""

    path: Path
    rows: int = 0
    """Samples written."""
    tokens: int = 0
    """Tokens scored."""
    resumed: int = 0
    """Parts of an earlier run that were used again."""
    rendering: str = ""
    """``"chat"`` or ``"completion"``."""
    rejections: Rejections = field(default_factory=Rejections)
    """Records that could not be read, and samples that could not be scored."""


def score(
    model: Any,
    samples: Any,
    out: str | os.PathLike[str],
    *,
    tokenizer: Any = None,
    checkpoint: str | None = None,
    rendering: str = "auto",
    temperature: float = 1.0,
    max_length: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int = 8192,
    part_rows: int = 1024,
    restart: bool = False,
    on_error: str = "raise",
    progress: Progress | None = None,
    **reading: Any,
) -> Scored:
    """Read saved texts under a checkpoint, and write them with log-probability and entropy of every token.

    Parameters
    ----------
    model : path or transformers.PreTrainedModel
        A folder that ``save_pretrained`` left, or a model in memory (then with ``tokenizer``).
    samples : SampleStream, path, sequence of paths, or object with ``__arrow_c_stream__``
        What :func:`crystal.read` returns, or what it takes. The text of a row is scored; where it has none,
        its ``tokens``.
    out : path
        ``.parquet`` or ``.arrow``, in the schema of the sample table. While the run lasts, its parts lie in
        ``OUT.parts``; a run that was cut off goes on behind the last of them.
    tokenizer : transformers.PreTrainedTokenizerBase, optional
        For a model in memory.
    checkpoint : str, optional
        ``ladder/stage/step[/name]``: under which checkpoint the rows are filed. Without it they keep theirs.
    rendering : {"auto", "chat", "completion"}
        How the prompt stands before the text: as a user's turn of the chat template, or as it is. "auto" is
        chat where the tokenizer has a template and ``checkpoint`` is not of stage base.
    temperature : float
        Divides the logits; 1e-4 to 1e4.
    max_length : int, optional
        Most tokens of prompt and text together; by default what the model's configuration says.
    device, dtype : str
        As for :func:`crystal.sampling.models.load`.
    batch_tokens : int
        Most positions that go through the network at once. It decides memory and speed, and rounds.
    part_rows : int
        Most samples of a part.
    restart : bool
        Throw parts of an earlier run away.
    on_error : {"raise", "collect"}
        Stop at the first sample that cannot be scored, or list it and go on.
    progress : callable, optional
        Called after each part with ``"scoring"``, how much is done, and how much there is (None: unknown).
    **reading
        Further arguments of :func:`crystal.read`. Bound ``tasks`` whose wordings have the prompt's id give
        the prompt's text.

    Returns
    -------
    Scored
        ``tokens``, ``logprobs`` and ``entropies`` (nats, float32) of the file have one value for each token
        of the text; ``rendering`` says how the prompt stood; ``score`` is the text's log-probability where
        the row had no score of its own.

    Raises
    ------
    InputError
        If the model or the samples cannot be read, or no sample can be scored.
    SettingsError
        If an argument cannot be used, torch or transformers is missing, or parts of another run are there.

    Examples
    --------
    >>> crystal.score("checkpoints/sft", "samples.jsonl", "scored.parquet")  # doctest: +SKIP
    """
    target = Path(out)
    _check(target, part_rows, batch_tokens, max_length)
    check_apart(target, samples)
    temperature = check_temperature(temperature)
    place = None
    if checkpoint is not None:
        place = _place(checkpoint)
        # Logs need not say what is said here.
        reading.setdefault("checkpoints", (f"*={checkpoint}",))
    # Before the model, which takes longer to load than a mistyped path to find.
    stream = samples if isinstance(samples, SampleStream) else read(samples, on_error=on_error, **reading)
    if isinstance(model, str | os.PathLike):
        ready = models.load(model, device=device, dtype=dtype)
    else:
        if tokenizer is None:
            raise SettingsError("a model in memory needs its tokenizer", where="tokenizer")
        ready = Model.of(model, tokenizer, type(model).__name__)
    if place is not None and place.stage == "base" and rendering == "auto":
        rendering = "completion"
    run = _Run(ready, stream, place, rendering, temperature, max_length, batch_tokens, on_error)
    result = Scored(target, rendering=run.renderer.name)
    settings = run.settings()
    if not restart and isinstance(samples, str | os.PathLike | list | tuple):
        again = read(samples, on_error="collect", **reading)
        done = finished(target, settings, (digest(batch) for batch in _pieces(again, part_rows)))
        if done is not None:
            result.rows, result.tokens = done.rows, done.tokens
            result.rejections = _all(again.rejections, done.refused)
            return result
    store = Parts(target, settings, restart=restart)
    note = Note(settings)
    for number, batch in enumerate(_pieces(stream, part_rows)):
        note.samples.append(digest(batch))
        stamp = store.find(number, note.samples[-1])
        result.resumed += stamp is not None
        if stamp is None:
            scored, tokens, refused = run.part(batch, note.rows + len(note.refused))
            stamp = Stamp(settings, note.samples[-1], scored.num_rows, tokens, refused)
            store.write(number, scored, stamp)
        note.add(stamp)
        if progress is not None:
            total = stream.bytes_total
            progress("scoring", stream.bytes_read if total else stream.samples, total or None)
    result.rows, result.tokens = note.rows, note.tokens
    result.rejections = _all(stream.rejections, note.refused)
    if not note.rows:
        store.remove()
        raise InputError(
            "no sample can be scored",
            where=", ".join(stream.files[:3]),
            got="; ".join(f"{file}: {reason}" for file, reason in note.refused[:3]),
        )
    write_samples(store.batches(range(len(note.samples)), note), target)
    store.remove()
    return result


class _Run:
    """One model and the settings under which it scores."""

    def __init__(
        self,
        model: Model,
        stream: SampleStream,
        place: Place | None,
        rendering: str,
        temperature: float,
        max_length: int | None,
        batch_tokens: int,
        on_error: str,
    ) -> None:
        self.model, self.place, self.temperature = model, place, temperature
        limits = [length for length in (max_length, model.context) if length is not None]
        self.limit = min(limits) if limits else None
        self.renderer = Renderer(model.tokenizer, rendering, stream.tasks)
        self.forcing = Forcing(model, batch_tokens, temperature)
        self.on_error = on_error

    def settings(self) -> dict[str, str]:
        """Return all that decides the results but the samples; how they are batched only rounds."""
        return {
            "model": self.model.identity(),
            "dtype": str(self.model.network.dtype).removeprefix("torch."),
            "rendering": self.renderer.name,
            "wordings": self.renderer.digest(),
            "checkpoint": "" if self.place is None else "/".join(map(str, self.place)),
            "temperature": repr(float(self.temperature)),
            "max_length": str(self.limit),
        }

    def part(self, batch: Any, before: int) -> tuple[Any, int, list[tuple[str, str]]]:
        """Return one batch scored, its tokens, and the samples that cannot be, with file and reason."""
        judge = Judge(self.on_error)
        requests = _requests(batch)
        rendered = self.renderer.render(requests)
        sources = batch.column("source").to_pylist()
        keep = np.ones(batch.num_rows, bool)
        for i, (request, tokens) in enumerate(zip(requests, rendered, strict=True)):
            reason = self._refusal(request, tokens)
            if reason is not None:
                keep[i] = False
                judge.reject(sources[i], None, f"sample {before + i + 1} of those read: {reason}")
        chosen = [rendered[i] for i in np.flatnonzero(keep).tolist()]
        scored = filled(batch.filter(pa.array(keep)), chosen, self.forcing.score(chosen))
        values: dict[str, str | int] = {"rendering": self.renderer.name}
        if self.place is not None:
            stage, step = self.place.stage or "other", self.place.step or 0
            name = self.place.checkpoint or f"{stage}-{step}"
            values |= {"ladder": self.place.ladder, "stage": stage, "step": step, "checkpoint": name}
        for column, value in values.items():
            scored = with_value(scored, column, value)
        count = sum(len(tokens.reply) for tokens in chosen)
        refused = [(rejection.file, rejection.reason) for rejection in judge.rejections]
        return scored, count, refused

    def _refusal(self, request: Request, tokens: Tokens) -> str | None:
        if not tokens.reply:
            return "it has neither text nor tokens" if request.text is None else "its text is empty"
        if not tokens.context:
            return "its prompt is empty, so nothing predicts the first token"
        size = len(tokens.context) + len(tokens.reply)
        if self.limit is not None and size > self.limit:
            return f"prompt and text have {size:,} tokens, and the model takes {self.limit:,}"
        if max(*tokens.reply, *tokens.context) >= self.model.vocabulary or min(tokens.reply) < 0:
            return f"a token id is not in the model's vocabulary of {self.model.vocabulary:,}"
        return None


def _check(target: Path, part_rows: int, batch_tokens: int, max_length: int | None) -> None:
    if check_target(target) not in _KINDS:
        raise SettingsError(
            "scored samples have lists of numbers, which this format is not for",
            where=str(target),
            expected=f"a name that ends in {' or '.join(_KINDS)}",
        )
    for name, value in (("part_rows", part_rows), ("batch_tokens", batch_tokens), ("max_length", max_length)):
        if value is not None and value < 1:
            raise SettingsError("must be positive", where=name, got=str(value))


def _place(checkpoint: str) -> Place:
    try:
        return CheckpointRule.parse(f"*={checkpoint}").place
    except SettingsError as error:
        raise SettingsError(
            "this names no checkpoint",
            where="checkpoint",
            expected="ladder/stage/step[/name]",
            got=repr(checkpoint),
        ) from error


def _pieces(stream: SampleStream, rows: int) -> Iterator[Any]:
    for batch in stream:
        if batch.schema.metadata[b"crystal.kind"] != b"samples":
            raise InputError(
                "the input holds exact distributions, which have no texts to score",
                where=", ".join(stream.files[:3]),
            )
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _requests(batch: Any) -> list[Request]:
    columns = [batch.column(name).to_pylist() for name in ("task", "family", "prompt", "text", "tokens")]
    return [
        Request(task, family or "", prompt, text, tokens)
        for task, family, prompt, text, tokens in zip(*columns, strict=True)
    ]


def _all(first: Rejections, refused: Sequence[tuple[str, str]]) -> Rejections:
    both = Rejections()
    for rejection in [*first, *(Rejection(file, None, reason) for file, reason in refused)]:
        both.append(rejection)
    return both
