"""The whole job: logs of growing size read and counted, and the largest analysed from end to end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crystal.benchmarking import samples
from crystal.benchmarking.alone import Tell, alone
from crystal.benchmarking.clock import Rival, race
from crystal.benchmarking.machine import cpu_seconds, peak_memory
from crystal.benchmarking.results import Analysis, Timing, Whole

_COLUMNS = ("checkpoint", "task", "prompt", "text")


def counting(
    sizes: Sequence[int], form: str, folder: Path, *, seconds: float, with_peers: bool
) -> Iterator[Whole]:
    """Write a log of each size, then read and count it.

    Parameters
    ----------
    sizes : sequence of int
        Numbers of samples.
    form : {"parquet", "jsonl"}
    folder : Path
        Where the logs go; each is deleted once it is counted.
    seconds : float
        About how long for each size, peers included.
    with_peers : bool
        Race the bare ``group by`` of duckdb and polars over the same four columns.

    Yields
    ------
    Whole
    """
    from crystal.engine import measure

    for size in sizes:
        path = folder / f"{size}.{form}"
        samples.write(path, size)
        nbytes = path.stat().st_size

        def run(path: Path = path) -> Any:
            return measure(path)

        peak = alone(_peak_of_counting, path)
        rivals = _grouping(path) if with_peers and form == "parquet" else {}
        timing, peers = race(run, rivals, _same_cells, seconds=seconds)
        path.unlink()
        yield Whole(form, size, nbytes, timing, peak, peers)


def slope(found: Sequence[Whole]) -> float:
    """Return d log(CPU seconds) / d log(samples) by least squares over two sizes or more.

    Examples
    --------
    >>> slope([Whole("parquet", n, n, Timing(n * 1e-6, 1.0, 2), None) for n in (10, 100, 1000)])
    1.0
    """
    x = np.log([one.samples for one in found])
    y = np.log([one.timing.cpu_seconds for one in found])
    x = x - x.mean()
    return round(float((x * y).sum() / (x * x).sum()), 3)


def analysis(tasks: int, size: int, folder: Path, progress: Callable[..., None] | None = None) -> Analysis:
    """Analyse a log from end to end, once, into a report on disk.

    Parameters
    ----------
    tasks : int
        Tasks of the log, each of 8 checkpoints and 8 prompts.
    size : int
        Samples of the log.
    folder : Path
        Where the log and the report go.
    progress : callable, optional
        As :func:`crystal.analyze` takes it.

    Returns
    -------
    Analysis
    """
    path = folder / "analysis.parquet"
    samples.write(path, size, tasks=tasks)
    counting, timing, peak = alone(_analyse, path, folder / "report", tell=progress)
    path.unlink()
    return Analysis(
        tasks=tasks,
        checkpoints=len(samples.STAGES),
        prompts=samples.PROMPTS,
        samples=size,
        counting=counting,
        timing=timing,
        peak_bytes=peak,
    )


def _peak_of_counting(path: Path, _: Tell) -> int | None:
    from crystal.engine import measure

    measure(path)
    return peak_memory()


def _analyse(path: Path, out: Path, tell: Tell) -> tuple[Timing, Timing, int | None]:
    """Analyse a log; return the times of counting and of all of it, and the peak of memory."""
    from crystal.analysis import classify_measurement
    from crystal.engine import measure
    from crystal.readers.rejections import Judge
    from crystal.report.folder import write_folder

    wall, cpu = time.perf_counter(), cpu_seconds()
    measurement = measure(path)
    counting = Timing(cpu_seconds() - cpu, time.perf_counter() - wall, 1)
    report = classify_measurement(measurement, progress=tell)
    write_folder(out, report, measurement, Judge("collect").rejections)
    timing = Timing(cpu_seconds() - cpu, time.perf_counter() - wall, 1)
    return counting, timing, peak_memory()


def _grouping(path: Path) -> dict[str, Rival]:
    """Return peers that do the bare ``group by``: no check of a row, no answer, no digest of the file."""
    names = ", ".join(_COLUMNS)

    def by_duckdb(duckdb: Any) -> Callable[[], Any]:
        def run() -> Any:
            with duckdb.connect() as connection:
                source = str(path).replace("'", "''")
                query = f"select {names}, count(*) as n from '{source}' group by {names}"  # noqa: S608
                return connection.sql(query).to_arrow_table()

        return run

    def by_polars(polars: Any) -> Callable[[], Any]:
        def run() -> Any:
            frame = polars.scan_parquet(path).group_by(_COLUMNS).agg(polars.len().alias("n"))
            return frame.collect(engine="streaming").to_arrow()

        return run

    return {
        "duckdb": Rival("duckdb", "duckdb", by_duckdb),
        "polars": Rival("polars", "polars", by_polars),
    }


def _same_cells(ours: Any, theirs: Any) -> bool:
    """Tell whether two results have the same samples in each (checkpoint, task, prompt)."""
    mine = ours.counts.result().group_by(["checkpoint", "task", "prompt"]).aggregate([("count", "sum")])
    other = theirs.group_by(["checkpoint", "task", "prompt"]).aggregate([("n", "sum")])
    return sorted(mine["count_sum"].to_pylist()) == sorted(other["n_sum"].to_pylist())
