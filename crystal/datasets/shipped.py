"""Data that ships with the package: where it lies and what is known of it. Loads no numpy, no pyarrow."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crystal.errors import SettingsError

if TYPE_CHECKING:
    import pyarrow as pa

DATA = Path(__file__).parent / "data"
TABLES = ("samples", "exact", "between-samples", "between-exact", "held-out-exact")
"""Replies and exact probabilities at the end of each phase, those of the checkpoints between, and the exact
ones of what post-training never saw."""
PROVENANCE_FILE = "provenance.json"
PROVENANCE = b"crystal.provenance"
"""Key of each table's metadata under which the same document stands."""


@dataclass(frozen=True)
class Run:
    """One run of the laboratory: a ladder of checkpoints of one model.

    Parameters
    ----------
    name : str
        What was done: ``main``, or the name of a control.
    folder : Path
        Where its files lie.
    """

    name: str
    folder: Path

    @property
    def truth(self) -> dict[str, Any]:
        """What is true of the run (``truth.json``): its phases, each task's distributions, the verdict."""
        found: dict[str, Any] = json.loads((self.folder / "truth.json").read_bytes())
        return found

    @property
    def samples(self) -> Path:
        """The sample table of the ends of the phases, for :func:`crystal.analyze`."""
        return self.path("samples")

    @property
    def exact(self) -> Path:
        """The exact probability of every option, at the same checkpoints and prompts."""
        return self.path("exact")

    @property
    def between(self) -> Path:
        """The sample table of the checkpoints within phases; with :attr:`samples`, the whole ladder."""
        return self.path("between-samples")

    def path(self, table: str) -> Path:
        """Return the Parquet file of one of :data:`TABLES`.

        Raises
        ------
        SettingsError
            If there is no table of this name.
        """
        if table not in TABLES:
            raise SettingsError("no such table", where=self.name, expected=", ".join(TABLES), got=repr(table))
        return self.folder / f"{table}.parquet"

    def table(self, table: str = "samples") -> pa.Table:
        """Read one of :data:`TABLES`: a sample table, or rows of exact probabilities (float64).

        Raises
        ------
        SettingsError
            If there is no table of this name.

        Examples
        --------
        >>> load("lab-small").runs["main"].table("exact").num_rows
        6288
        """
        import pyarrow.parquet as pq

        return pq.read_table(self.path(table))


@dataclass(frozen=True)
class Dataset:
    """Runs that share their tasks and, up to where they part, their model.

    Parameters
    ----------
    name : str
    folder : Path
        Where its files lie.
    runs : mapping of str to Run
        By name, the main run first.

    Examples
    --------
    >>> ladder = load("lab-small")
    >>> list(ladder.runs), ladder.runs["main"].truth["ladder"]
    (['main', 'foreign', 'rl-outside'], 'lab-small-main-0')
    """

    name: str
    folder: Path
    runs: Mapping[str, Run]

    @property
    def tasks(self) -> Path:
        """The option lists, for ``tasks=`` of :func:`crystal.analyze`, or ``--tasks``."""
        return self.folder / "tasks.toml"

    @property
    def provenance(self) -> dict[str, Any]:
        """What made the tables: commands, recipe, seed, versions. Every table's metadata has it too."""
        return _provenance(self.folder)


def names() -> tuple[str, ...]:
    """Return the names of the data sets that :func:`load` knows."""
    return tuple(sorted(path.name for path in DATA.iterdir() if path.is_dir()))


def load(name: str) -> Dataset:
    """Return a data set that comes with crystal.

    ``lab-small`` is a model of 0.36M weights that :mod:`crystal.lab` took through pretraining, SFT, DPO and
    RL on a CPU, three times: as the picture has it (``main``), with SFT on answers that its base never gave
    (``foreign``), and with RL that pays for options outside the seed's (``rl-outside``). ``docs/lab.md`` says
    how.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    Dataset
        Paths of Parquet files and what is true of them; nothing is read before it is asked for.

    Raises
    ------
    SettingsError
        If there is no such data set; the message lists those that there are.

    Examples
    --------
    >>> import crystal
    >>> ladder = load("lab-small")
    >>> main = ladder.runs["main"]
    >>> report = crystal.analyze(main.exact, tasks=ladder.tasks)
    >>> report.ladders[main.truth["ladder"]].picture_holds
    True
    """
    if name not in names():
        raise SettingsError("no such data set", where="name", expected=", ".join(names()), got=repr(name))
    folder = DATA / name
    return Dataset(name, folder, {run: Run(run, folder / run) for run in _provenance(folder)["runs"]})


def _provenance(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / PROVENANCE_FILE).read_bytes())
    return found
