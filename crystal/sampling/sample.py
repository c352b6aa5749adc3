"""``crystal.sample``: draws of the task suite from a model, or the exact distributions over its options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from crystal.errors import InputError, ServerError, SettingsError
from crystal.ops.token_inputs import check_temperature
from crystal.readers.paths import CheckpointRule
from crystal.readers.rejections import Rejection, Rejections
from crystal.readers.sample_file import check_target, write_samples
from crystal.samples import Checkpoint
from crystal.sampling import models, sample_rows
from crystal.sampling.http_client import UnansweredError
from crystal.sampling.local import Decoding, Local
from crystal.sampling.models import Model
from crystal.sampling.parts import Note, Parts, Stamp, finished
from crystal.sampling.plan import Drawn, Unit, choose, units
from crystal.sampling.server import Remote, Server, check_exact
from crystal.tasks.loader import load
from crystal.tasks.task import TaskSuite

Progress = Callable[[str, int, int | None], None]
_KINDS = (".parquet", ".arrow")
_NOTE = "crystal.sample"
_BATCH = 64


class Source(Protocol):
    """Where samples come from."""

    name: str
    rendering: str
    parallel: int

    def settings(self) -> dict[str, str]:
        """Return what else than the units decides the result."""

    def draw(self, unit: Unit, note: Callable[[str], None]) -> list[Drawn]:
        """Return the samples of a unit."""

    def distribution(self, unit: Unit, note: Callable[[str], None]) -> dict[str, float]:
        """Return the probability of each option."""


@dataclass
class Sampled:
    """What became of a run of :func:`sample`."""

    path: Path
    rows: int = 0
    """Samples written (``exact``: probabilities)."""
    tokens: int = 0
    """Tokens of all samples, where their number is known."""
    units: int = 0
    """Units of work that are in the file."""
    missing: int = 0
    """Units that the model did not answer, and that are not in the file."""
    resumed: int = 0
    """Units of an earlier run that were used again."""
    rendering: str = ""
    """``"chat"`` or ``"completion"``."""
    failures: Rejections = field(default_factory=Rejections)
    """Every request that failed, with why; those that a later attempt made good too."""


def sample(
    model: Any,
    tasks: str | os.PathLike[str] | TaskSuite = "default",
    out: str | os.PathLike[str] = "samples.parquet",
    *,
    checkpoint: str,
    exact: bool = False,
    samples: int = 50,
    only: Sequence[str] = (),
    histories: int = 0,
    history_length: int = 5,
    tokenizer: Any = None,
    rendering: str = "auto",
    temperature: float = 1.0,
    top_p: float = 1.0,
    top_k: int = 0,
    max_tokens: int = 16,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    restart: bool = False,
    on_error: str = "raise",
    progress: Progress | None = None,
) -> Sampled:
    """Draw the answers of a model to a suite of tasks, or compute their exact distributions.

    Parameters
    ----------
    model : path, transformers.PreTrainedModel or Server
        A folder that ``save_pretrained`` left or a ``.gguf`` file; a model in memory (then with
        ``tokenizer``); or :class:`crystal.sampling.server.Server`.
    tasks : str, path or TaskSuite
        ``"default"``, the fifteen tasks, or a TOML file of your own (``docs/tasks.md``).
    out : path
        ``.parquet`` or ``.arrow``, in the schema of the sample table. While the run lasts, finished units lie
        in ``OUT.parts``; the same call goes on from there.
    checkpoint : str
        ``ladder/stage/step[/name]``: under which checkpoint the rows are filed.
    exact : bool
        Score the listed options instead of drawing: one row an option, with its ``probability``.
    samples : int
        Samples of each prompt.
    only : sequence of str
        Tasks of the suite to ask about; all by default.
    histories : int
        Prompts to add to each task in which earlier draws stand before the question, in the family
        ``history``.
    history_length : int
        Earlier draws in each of them.
    tokenizer : transformers.PreTrainedTokenizerBase, optional
        For a model in memory.
    rendering : {"auto", "chat", "completion"}
        How prompts are asked. "auto" is completion for a checkpoint of stage base; else chat, if the
        tokenizer has a template or the model is on a server.
    temperature, top_p, top_k, max_tokens
        The decoding, in that order; ``top_k`` 0 is no cut. They stand in the column ``decoding``.
    seed : int
        Of the draws and the histories. A local model's draws depend on (seed, task, prompt, sample) alone.
    device, dtype : str
        As for :func:`crystal.sampling.models.load`.
    restart : bool
        Throw away what an earlier run has done.
    on_error : {"raise", "collect"}
        Where a unit gets no answer: stop, or go on, leave it out, and keep the others' parts, so that
        the same call asks for it again.
    progress : callable, optional
        Called after each unit with ``"sampling"``, how many are done, and how many there are.

    Returns
    -------
    Sampled

    Raises
    ------
    InputError
        If the model cannot be read, a prompt is too long for it, or nothing could be sampled.
    ServerError
        If the server refuses or is gone.
    SettingsError
        If an argument cannot be used, torch or transformers is missing, or parts of another run are there.

    Examples
    --------
    >>> crystal.sample("sft", "default", "sft.parquet", checkpoint="mine/sft/1000")  # doctest: +SKIP
    """
    target = Path(out)
    place = _place(checkpoint)
    _check(target, samples, top_p, top_k, max_tokens, seed, on_error)
    decoding = Decoding(check_temperature(temperature), float(top_p), top_k, max_tokens)
    if rendering == "auto" and place.stage == "base":
        rendering = "completion"
    chosen = choose(
        load(tasks if isinstance(tasks, TaskSuite) else os.fspath(tasks)),
        only,
        histories,
        history_length,
        seed,
    )
    source: Source
    if isinstance(model, Server):
        source = Remote(model, rendering, decoding, seed)
        if exact:
            check_exact(source.rendering, decoding)
        most = model.choices
    else:
        source = Local(_model(model, tokenizer, device, dtype), rendering, decoding, seed)
        most = _BATCH
    todo = list(units(chosen, 0 if exact else samples, most))
    settings = source.settings() | {
        "checkpoint": "/".join(map(str, place)),
        "kind": "exact" if exact else "samples",
        "temperature": repr(decoding.temperature),
    }
    if not exact:
        settings |= {"top_p": repr(decoding.top_p), "top_k": str(top_k), "max_tokens": str(max_tokens)}
        settings |= {"seed": str(seed)}
    run = _Run(source, todo, place, decoding, exact)
    return run.all(target, settings, restart=restart, on_error=on_error, progress=progress)


class _Run:
    """The units of one file, and how each is done."""

    def __init__(
        self, source: Source, todo: Sequence[Unit], place: Checkpoint, decoding: Decoding, exact: bool
    ) -> None:
        self.source, self.todo, self.place, self.decoding, self.exact = source, todo, place, decoding, exact

    def all(
        self,
        target: Path,
        settings: dict[str, str],
        *,
        restart: bool,
        on_error: str,
        progress: Progress | None,
    ) -> Sampled:
        """Do what is not done yet, and write the file."""
        result = Sampled(target, rendering=self.source.rendering)
        digests = [unit.digest() for unit in self.todo]
        earlier = None if restart else finished(target, settings, digests, _NOTE)
        if earlier is not None:
            return _filled(result, earlier, len(digests), len(digests))
        store = Parts(target, settings, restart=restart, note=_NOTE)
        stamps = {
            number: stamp
            for number, digest in enumerate(digests)
            if (stamp := store.find(number, digest)) is not None
        }
        result.resumed = len(stamps)
        lost: list[tuple[str, str]] = []

        def work(number: int) -> Stamp | list[tuple[str, str]]:
            failed: list[tuple[str, str]] = []

            def note(reason: str) -> None:
                failed.append((self.source.name, f"{self.todo[number]}: {reason}"))

            try:
                batch, tokens = self._one(self.todo[number], note)
            except InputError as error:
                unanswered = isinstance(error, UnansweredError)
                if on_error == "raise" or (isinstance(error, ServerError) and not unanswered):
                    raise
                if not unanswered:  # whose attempts are noted already
                    note(str(error))
                return failed
            stamp = Stamp(settings, digests[number], batch.num_rows, tokens, failed)
            store.write(number, batch, stamp)
            return stamp

        left = [number for number in range(len(digests)) if number not in stamps]
        for number, outcome in self._in_parallel(left, work):
            if isinstance(outcome, Stamp):
                stamps[number] = outcome
            else:
                lost += outcome
                result.missing += 1
            if progress is not None:
                progress("sampling", len(stamps) + result.missing, len(digests))
        note = Note(settings)
        for number in sorted(stamps):
            note.samples.append(digests[number])
            note.add(stamps[number])
        if not note.rows:
            raise InputError(
                "nothing could be sampled",
                where=self.source.name,
                got="; ".join(reason for _, reason in lost[:3]),
            )
        note.refused += lost
        write_samples(store.batches(sorted(stamps), note), target)
        if not result.missing:
            store.remove()
        return _filled(result, note, len(stamps), result.resumed)

    def _one(self, unit: Unit, note: Callable[[str], None]) -> tuple[Any, int]:
        name = self.source.name
        if self.exact:
            found = self.source.distribution(unit, note)
            return sample_rows.distribution(unit, found, self.place, name), 0
        drawn = self.source.draw(unit, note)
        batch = sample_rows.samples(unit, drawn, self.place, self.source.rendering, self.decoding, name)
        return batch, sum(len(one.tokens or one.logprobs or ()) for one in drawn)

    def _in_parallel(self, numbers: Sequence[int], work: Callable[[int], Any]) -> Iterator[tuple[int, Any]]:
        """Yield each unit's outcome as it comes."""
        if self.source.parallel == 1:
            for number in numbers:
                yield number, work(number)
            return
        with ThreadPoolExecutor(self.source.parallel, "crystal-sample") as pool:
            running = {pool.submit(work, number): number for number in numbers}
            try:
                for done in as_completed(running):
                    yield running[done], done.result()
            except BaseException:
                # What waits for its next attempt gives up; what is on its way is still kept when it comes.
                if isinstance(self.source, Remote):
                    self.source.client.stop()
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _filled(result: Sampled, note: Note, done: int, resumed: int) -> Sampled:
    result.rows, result.tokens, result.units, result.resumed = note.rows, note.tokens, done, resumed
    for where, reason in note.refused:
        result.failures.append(Rejection(where, None, reason))
    return result


def _model(model: Any, tokenizer: Any, device: str, dtype: str) -> Model:
    if isinstance(model, str | os.PathLike):
        return models.load(model, device=device, dtype=dtype)
    if tokenizer is None:
        raise SettingsError("a model in memory needs its tokenizer", where="tokenizer")
    return Model.of(model, tokenizer, type(model).__name__)


def _place(checkpoint: str) -> Checkpoint:
    try:
        place = CheckpointRule.parse(f"*={checkpoint}").place
    except SettingsError as error:
        raise SettingsError(
            "this names no checkpoint",
            where="checkpoint",
            expected="ladder/stage/step[/name]",
            got=repr(checkpoint),
        ) from error
    stage, step = place.stage or "other", place.step or 0
    return Checkpoint(place.ladder, stage, step, place.checkpoint or f"{stage}-{step}")


def _check(
    target: Path, samples: int, top_p: float, top_k: int, max_tokens: int, seed: int, on_error: str
) -> None:
    if check_target(target) not in _KINDS:
        raise SettingsError(
            "samples have lists of numbers, which this format is not for",
            where=str(target),
            expected=f"a name that ends in {' or '.join(_KINDS)}",
        )
    if not target.parent.is_dir():
        raise InputError(
            "there is no such folder", where=str(target.parent), fix="make it, or choose another"
        )
    for name, value, low, high in (
        ("samples", samples, 1, 1 << 31),
        ("top_p", top_p, 1e-6, 1),
        ("top_k", top_k, 0, 1 << 31),
        ("max_tokens", max_tokens, 1, 1 << 20),
        ("seed", seed, 0, (1 << 63) - 1),
    ):
        if not low <= value <= high:
            raise SettingsError("out of range", where=name, expected=f"{low} to {high}", got=repr(value))
    if on_error not in ("raise", "collect"):
        raise SettingsError("unknown", where="on_error", expected="raise or collect", got=repr(on_error))
