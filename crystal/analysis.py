"""Read, measure, classify and report in one call: the only place that knows both wings of the house."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystal.errors import InputError, SettingsError

if TYPE_CHECKING:
    from crystal.phases.results import PhaseReport
    from crystal.phases.settings import Settings
    from crystal.readers.rejections import Rejections
    from crystal.readers.stream import SampleStream
    from crystal.states.measurement import Measurement

Progress = Callable[[str, int, int | None], None]
"""Called with what is being done, how much of it is done, and how much there is (None if unknown)."""


def analyze(
    paths: Any,
    out: str | Path | None = None,
    *,
    format: str = "auto",  # noqa: A002 - the name that users of pandas and datasets know
    tasks: Any = None,
    answer: str = "short",
    mapping: Mapping[str, str] | None = None,
    checkpoints: Sequence[str] = (),
    on_error: str = "raise",
    allow_duplicates: bool = False,
    sequences: bool = False,
    alpha: float = 0.05,
    seed: int = 0,
    order: Sequence[str] = (),
    settings: Settings | None = None,
    overwrite: bool = False,
    engine: str = "local",
    progress: Progress | None = None,
) -> PhaseReport:
    """Read samples, count them, classify every checkpoint and transition, and leave a report.

    Parameters
    ----------
    paths : path, sequence of paths, or object with ``__arrow_c_stream__``
        Logs, or folders of logs; or a sample table (pyarrow, polars, pandas with Arrow, datasets, duckdb).
    out : path, optional
        Folder for ``report.html``, ``report.json``, ``metrics.parquet``, ``counts.parquet``,
        ``measurement.crystal`` and ``rejected.jsonl``: written all, or none if anything fails. Without it
        nothing is written.
    format : str
        Format of the logs; ``"auto"`` looks at names and contents.
    tasks : str, path or TaskSuite, optional
        ``"default"`` binds the 15 tasks that come with crystal, a path those of a TOML file, None binds no
        option list.
    answer : str
        The rule that finds the answer in a text where no option list does.
    mapping : mapping of str to str, optional
        Field of the sample table to the name that the log has for it.
    checkpoints : sequence of str
        ``GLOB=ladder/stage/step[/name]`` for files whose rows do not say which checkpoint they are from.
    on_error : {"raise", "collect"}
        Stop at the first bad record, or refuse it, count it and go on.
    allow_duplicates : bool
        Count a content again that comes twice, such as two equal files.
    sequences : bool
        Look at the texts themselves too: n-gram diversity, repetition, compression, overlap. The measurement
        then holds some of the texts.
    alpha : float
        Level of every test and, as 1 - alpha, of every interval; in (0, 0.5).
    seed : int
        Seed of the counter-based generator.
    order : sequence of str
        Names of the checkpoints in training order, where steps and stages do not give one.
    settings : Settings, optional
        All settings at once; then ``alpha``, ``seed`` and ``order`` must be left alone.
    overwrite : bool
        Write into a folder that holds other things than an earlier report.
    engine : {"local"}
        Where samples are read and counted: in this process.
    progress : callable, optional
        Called with what is being done, how much of it is done, and how much there is (None if unknown).

    Returns
    -------
    PhaseReport
        The same bytes as JSON for the same input, settings and seed, whatever the number of threads.

    Raises
    ------
    InputError
        If the input cannot be read, or nothing in it is valid.
    SettingsError
        If an argument is out of its range, or ``out`` holds other things.

    Examples
    --------
    >>> from crystal.testing import planted
    >>> samples = planted.ladder("frozen", tasks=1, prompts=2, options=2).samples(10)
    >>> report = analyze(samples)
    >>> [rung.stage for rung in report.ladders["planted-frozen"].checkpoints]
    ['base', 'sft', 'dpo', 'rl']
    """
    from crystal.readers.sample_file import check_apart
    from crystal.report.folder import FILES, check_folder, write_folder

    if engine != "local":
        raise SettingsError("no such engine", where="engine", expected="'local'", got=repr(engine))
    if out is not None:
        check_folder(out, overwrite=overwrite)
        for name in FILES:
            check_apart(Path(out) / name, paths)
    measurement, rejections = read_and_measure(
        paths,
        format=format,
        tasks=tasks,
        answer=answer,
        mapping=mapping,
        checkpoints=checkpoints,
        on_error=on_error,
        allow_duplicates=allow_duplicates,
        sequences=sequences,
        progress=progress,
    )
    report = classify_measurement(
        measurement, alpha=alpha, seed=seed, order=order, settings=settings, progress=progress
    )
    if out is not None:
        write_folder(out, report, measurement, rejections)
    return report


def read_and_measure(
    paths: Any,
    *,
    format: str = "auto",  # noqa: A002
    tasks: Any = None,
    answer: str = "short",
    mapping: Mapping[str, str] | None = None,
    checkpoints: Sequence[str] = (),
    on_error: str = "raise",
    allow_duplicates: bool = False,
    sequences: bool = False,
    progress: Progress | None = None,
) -> tuple[Measurement, Rejections]:
    """Read samples and count them; the arguments are those of :func:`analyze`.

    Returns
    -------
    tuple of Measurement and Rejections
        The counts, and the records that were refused.

    Raises
    ------
    InputError
        If the input cannot be read, or nothing in it is valid.
    """
    from crystal.engine import measure
    from crystal.readers import read

    stream = read(
        paths,
        format=format,
        tasks=tasks,
        answer=answer,
        on_error=on_error,
        mapping=mapping,
        checkpoints=checkpoints,
    )
    measurement = measure(stream, allow_duplicates=allow_duplicates, sequences=sequences, progress=progress)
    _refuse_empty(measurement, stream)
    return measurement, stream.rejections


def _refuse_empty(measurement: Measurement, stream: SampleStream) -> None:
    """Refuse an input without one valid answer: every number of a report would be unknown.

    Raises
    ------
    InputError
        If all samples are off-task.
    """
    options = measurement.counts.result()["option"]
    if not measurement.exact and options.null_count == len(options):
        raise InputError(
            "no sample of the input has a valid answer",
            where=", ".join(stream.files[:3]) + (" ..." if len(stream.files) > 3 else ""),
            got=f"{stream.samples:,} samples, all off-task",
            fix="choose another rule with answer=... (--answer), or other lists with tasks=... (--tasks)",
        )


def classify_measurement(
    measurement: Measurement,
    *,
    alpha: float = 0.05,
    seed: int = 0,
    order: Sequence[str] = (),
    settings: Settings | None = None,
    progress: Progress | None = None,
) -> PhaseReport:
    """Classify a measurement; the arguments are those of :func:`analyze`.

    Raises
    ------
    SettingsError
        If single settings are given beside ``settings``, or one is out of its range.
    """
    from crystal.phases.classify import classify
    from crystal.phases.settings import Settings

    if settings is None:
        settings = Settings(alpha=alpha, seed=seed, order=order)  # type: ignore[arg-type]  # becomes a tuple
    elif (alpha, seed, tuple(order)) != (0.05, 0, ()):
        raise SettingsError(
            "settings are given twice", where="settings", expected="either all or single ones"
        )
    return classify(measurement, settings=settings, progress=progress)
