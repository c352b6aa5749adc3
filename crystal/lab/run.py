"""One run of the laboratory: a chain of training phases, its checkpoints, its truth, and what is found.

A phase's folder is named after the chain that leads to it, so runs that begin alike share what they share,
and what is on disk is the whole state: a run that was killed goes on, and one that is done is only read.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import torch

import crystal
from crystal.atomic_write import atomic_path, atomic_write
from crystal.lab.measuring import measure
from crystal.lab.model import LanguageModel
from crystal.lab.presets import Control, Phase, Preset, control, preset
from crystal.lab.recipe import claim
from crystal.lab.training import Trainer, rate
from crystal.lab.world import CONTEXTS, World
from crystal.report.tables import write_parquet

if TYPE_CHECKING:
    from crystal.phases.results import PhaseReport

Progress = Callable[[str, int, int | None], None]
KEEP = 50
"""Steps after which the state of training is saved, besides every checkpoint."""
FILES = ("samples.parquet", "exact.parquet")
_END = "last of its phase"


class Run:
    """One run: a kind, a size and a seed, in a folder that it may share with others.

    Parameters
    ----------
    folder : path
        Holds ``SIZE-SEED/phases/CHAIN/`` for training and ``SIZE-SEED/CONTROL/`` for results.
    name : str
        One of :data:`crystal.lab.presets.CONTROLS`.
    size : str
        One of :data:`crystal.lab.presets.PRESETS`.
    seed : int
        Seed of the world, the weights, the batches and the samples.

    Raises
    ------
    SettingsError
        If there is no such control or preset.

    Notes
    -----
    ``SIZE-SEED/recipe.json`` says what the folder is made with. One that was made with other sizes or another
    version of the recipe is refused by :meth:`train` and :meth:`go`: half of each would be neither.
    """

    def __init__(self, folder: Path, name: str, size: str, seed: int) -> None:
        self.name, self.size, self.seed = name, size, seed
        self.kind: Control = control(name)
        self.preset: Preset = preset(size)
        self.world = World(seed)
        self.ladder = f"lab-{size}-{name}-{seed}"
        self.phases = folder / f"{size}-{seed}" / "phases"
        self.out = folder / f"{size}-{seed}" / name

    def model(self) -> LanguageModel:
        """Return the model before any training."""
        size = self.preset
        return LanguageModel(len(self.world.words), size.layers, size.width, size.heads, self.seed)

    def train(self, progress: Progress | None = None) -> list[Path]:
        """Train what is not trained yet, and return the folders of the checkpoints in training order."""
        claim(self.out.parent, self.preset)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # two are no faster on so small a model, and far slower beside other work
        try:
            model, rungs, first, chain = self.model(), [], 0, ""
            for i, phase in enumerate(self.kind.phases):
                chain = f"{chain}.{phase.name}".lstrip(".")
                chat = any(before.kind == "sft" for before in self.kind.phases[: i + 1])
                rendering = "chat" if chat else "document"
                rungs += self._phase(model, phase, chain, rendering, first, progress)
                first += self.preset.rungs(phase)[-1]
            return rungs
        finally:
            torch.set_num_threads(threads)

    def _phase(
        self,
        model: LanguageModel,
        phase: Phase,
        chain: str,
        rendering: str,
        first: int,
        progress: Progress | None,
    ) -> list[Path]:
        """Train one phase in place, or read how it ended."""
        folder, steps = self.phases / chain, self.preset.rungs(phase)
        folder.mkdir(parents=True, exist_ok=True)
        rungs = [folder / f"{phase.kind}-{step}" for step in steps]
        reference = self.model()
        reference.load_state_dict(model.state_dict())
        optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.01)
        trainer = Trainer(self.world, self.preset, phase, chain, rendering, reference)
        state = folder / "state.pt"
        done = 0
        if state.exists():
            saved = torch.load(state, weights_only=True)
            done = saved["step"]
            model.load_state_dict(saved["model"])
            optimizer.load_state_dict(saved["optimizer"])
        for step in range(done + 1, steps[-1] + 1):
            for group in optimizer.param_groups:
                group["lr"] = rate(phase, step, steps[-1])
            optimizer.zero_grad()
            trainer.loss(model, step).backward()  # type: ignore[no-untyped-call, unused-ignore]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if step in steps:
                place = {"ladder": "lab", "stage": phase.kind, "step": first + step}
                place["checkpoint"] = f"{phase.kind}-{first + step if phase.kind == 'base' else step}"
                self._keep(model, folder / f"{phase.kind}-{step}", rendering, chain, place)
            if step in steps or step % KEEP == 0:
                with atomic_path(state) as scratch:
                    torch.save(
                        {"step": step, "model": model.state_dict(), "optimizer": optimizer.state_dict()},
                        scratch,
                    )
            if progress is not None:
                progress(f"{self.ladder}: {chain.rpartition('.')[2]}", step, steps[-1])
        return rungs

    def _keep(
        self, model: LanguageModel, folder: Path, rendering: str, chain: str, place: dict[str, Any]
    ) -> None:
        """Write a checkpoint's folder whole, or not at all."""
        scratch = folder.with_name(f".{folder.name}")
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir()
        measure(model, self.world, rendering, chain, place, self.preset.samples, scratch)
        shutil.rmtree(folder, ignore_errors=True)
        scratch.rename(folder)

    def truth(self) -> dict[str, Any]:
        """Return what is true of the run, and which verdicts on it are right, as JSON."""
        kind, steps = self.kind, [list(self.preset.rungs(phase)) for phase in self.kind.phases]
        answers = next((phase.data for phase in kind.phases if phase.kind == "sft"), None)
        tasks = {
            task.id: {
                "options": list(task.options),
                "held_out": task.new,
                "sources": {
                    name: row.round(6).tolist() for name, row in zip(CONTEXTS, task.sources, strict=True)
                },
                "seed": CONTEXTS[task.seed] if answers == "seed" else None,
                "target": None
                if answers in (None, "context")
                else task.answers(answers, 0).round(6).tolist(),
                "rewards": {
                    phase.kind: task.rewards[phase.data].tolist()
                    for phase in kind.phases
                    if phase.kind in ("dpo", "rl")
                },
            }
            for task in self.world.tasks
        }
        return {
            "schema_version": "1.0",
            "ladder": self.ladder,
            "control": self.name,
            "says": kind.says,
            "expected": {"picture_holds": list(kind.expected), "refuted": kind.refuted},
            "preset": self.size,
            "seed": self.seed,
            "parameters": self.model().size,
            "phases": [
                {"stage": phase.kind, "data": phase.data, "steps": kept}
                for phase, kept in zip(kind.phases, steps, strict=True)
            ],
            "crystal_version": crystal.__version__,
            "torch_version": torch.__version__,
            "tasks": tasks,
        }

    def write(self, rungs: list[Path]) -> None:
        """Write the rows, those of what was held out, ``tasks.toml`` and ``truth.json``."""
        self.out.mkdir(parents=True, exist_ok=True)
        new = pa.array([task.id for task in self.world.tasks if task.new], pa.large_string())
        ends = {f"{phase.kind}-{self.preset.rungs(phase)[-1]}" for phase in self.kind.phases}
        for name in FILES:
            parts = []
            for rung in rungs:
                table = _named(pq.read_table(rung / name), self.ladder)
                end = pa.array([rung.name in ends] * len(table), pa.bool_())
                parts.append(table.append_column(_END, end))
            whole = pa.concat_tables(parts).unify_dictionaries()
            seen = pc.and_(
                pc.equal(whole["family"].cast(pa.large_string()), "context"),
                pc.invert(pc.is_in(whole["task"].cast(pa.large_string()), new)),
            )
            chosen = {
                "": pc.and_(seen, whole[_END]),
                "between-": pc.and_(seen, pc.invert(whole[_END])),
                "held-out-": pc.invert(seen),
            }
            whole = whole.drop_columns(_END)
            for prefix, rows in chosen.items():
                with atomic_path(self.out / f"{prefix}{name}") as scratch:
                    write_parquet(whole.filter(rows), scratch)
        atomic_write(self.out / "tasks.toml", self._tasks_toml())
        atomic_write(self.out / "truth.json", json.dumps(self.truth(), indent=1) + "\n")

    def _tasks_toml(self) -> str:
        tables = [
            f"[[task]]\nid = {json.dumps(task.id)}\noptions = {json.dumps(list(task.options))}\n"
            for task in self.world.tasks
        ]
        return "\n".join(tables)

    def analyse(self, progress: Progress | None = None) -> PhaseReport:
        """Analyse the run's samples into ``report/``; one that is there for the same samples is read."""
        from crystal import analysis
        from crystal.phases.results import PhaseReport

        written = self.out / "report" / "report.json"
        samples = self.out / "samples.parquet"
        if written.exists() and written.stat().st_mtime_ns >= samples.stat().st_mtime_ns:
            return PhaseReport.from_json(written.read_bytes())
        return analysis.analyze(
            [samples],
            self.out / "report",
            tasks=self.out / "tasks.toml",
            settings=self.settings(),
            progress=progress,
        )

    def settings(self) -> Any:
        """Return the settings of the analysis: the defaults, but for the preset that only tests plumbing."""
        from crystal.phases.settings import Settings

        if self.size == "tiny":
            return Settings(draws=99, interval_draws=20, splits=2, simulations=1)
        return Settings()

    def go(self, progress: Progress | None = None) -> dict[str, Any]:
        """Train, write and analyse what is not there yet; return expected against found."""
        claim(self.out.parent, self.preset)
        complete = self.out / "truth.json"
        if not complete.exists():
            self.write(self.train(progress))
        report = self.analyse(progress)
        found = report.ladders[self.ladder]
        expected = list(self.kind.expected)
        clauses = {
            name: {
                "holds": clause.holds,
                "yes": clause.tasks_hold,
                "no": clause.tasks_refuted,
                "tasks": clause.tasks,
            }
            for name, clause in found.clauses.items()
        }
        return {
            "ladder": self.ladder,
            "control": self.name,
            "preset": self.size,
            "seed": self.seed,
            "expected": expected,
            "found": found.picture_holds,
            "as_expected": found.picture_holds in expected,
            "clauses": clauses,
            "folder": str(self.out),
        }


def _named(table: pa.Table, ladder: str) -> pa.Table:
    """Give a checkpoint's rows the name of the ladder that they are read in."""
    at = table.schema.get_field_index("ladder")
    column = pa.array([ladder] * len(table), pa.large_string()).dictionary_encode()
    return table.set_column(at, "ladder", column)
