"""What a run of the laboratory is: its size, its chain of phases, and what it should be found to be."""

from __future__ import annotations

from dataclasses import dataclass

from crystal.errors import SettingsError

RECIPE = 2
"""Version of the corpus, the losses, the measurement and the controls: another one makes other rows.

Raise it with any change that a run with the same preset and seed would show in what it writes."""


@dataclass(frozen=True)
class Phase:
    """One phase of training: how, on what, and which steps are kept."""

    kind: str
    """``base`` ``sft`` ``dpo`` or ``rl``: the stage of its checkpoints."""
    data: str
    """What the answers, preferences or rewards are; see :mod:`crystal.lab.world`."""

    @property
    def name(self) -> str:
        """The phase's part in the name of a chain."""
        return f"{self.kind}-{self.data}"


@dataclass(frozen=True)
class Preset:
    """Sizes of the model, of training and of the measurement."""

    layers: int
    width: int
    heads: int
    batch: int
    """Sequences in a step of pretraining and SFT; prompts in one of DPO and RL."""
    group: int
    """Replies to a prompt in a step of RL."""
    base: tuple[int, ...]
    """Steps at which checkpoints are kept; the last is the length of the phase."""
    sft: tuple[int, ...]
    dpo: tuple[int, ...]
    rl: tuple[int, ...]
    samples: int
    """Replies drawn to each prompt at each checkpoint."""
    kl: float = 0.02

    def rungs(self, phase: Phase) -> tuple[int, ...]:
        """Return the steps of a phase at which checkpoints are kept."""
        steps: tuple[int, ...] = getattr(self, phase.kind)
        return steps


PRESETS = {
    "tiny": Preset(1, 16, 2, 8, 4, (2,), (1, 2), (2,), (2,), 4),
    "small": Preset(3, 96, 4, 64, 16, (500,), (2, 4, 8, 16, 60), (20,), (10, 30), 50),
    "full": Preset(5, 128, 4, 96, 16, (2_000,), (1, 2, 4, 8, 16, 32, 120), (20, 40), (10, 40, 80), 100),
}
"""``tiny`` only exercises the plumbing: what it finds means nothing."""

BASE, SFT, DPO, RL = "base", "sft", "dpo", "rl"


@dataclass(frozen=True)
class Control:
    """A kind of run, and the verdict that a working instrument gives it."""

    says: str
    phases: tuple[Phase, ...]
    expected: tuple[bool | None, ...]
    """Verdicts on the picture that are right."""
    refuted: str | None = None
    """The clause that the run breaks."""


def _post_trained(answers: str, preferred: str = "inside", reward: str = "inside") -> tuple[Phase, ...]:
    return (Phase(BASE, "corpus"), Phase(SFT, answers), Phase(DPO, preferred), Phase(RL, reward))


CONTROLS = {
    "main": Control(
        "SFT on one source of the base, DPO and RL inside its options", _post_trained("seed"), (True,)
    ),
    "foreign": Control(
        "SFT on a distribution that the base never showed",
        _post_trained("foreign"),
        (False, None),
        "nucleation",
    ),
    "average": Control(
        "SFT on the average of the base's sources", _post_trained("average"), (False, None), "nucleation"
    ),
    "per-context": Control(
        "SFT that keeps each context's distribution", _post_trained("context"), (False, None), "nucleation"
    ),
    "rl-outside": Control(
        "RL that pays for options outside the seed's",
        _post_trained("seed", reward="outside"),
        (False, None),
        "settling",
    ),
    "more-pretraining": Control(
        "more pretraining and no SFT",
        (Phase(BASE, "corpus"), Phase(BASE, "more")),
        (False, None),
    ),
    "rl-from-base": Control(
        "RL straight from the base", (Phase(BASE, "corpus"), Phase(RL, "inside")), (False, None)
    ),
    "blind-reward": Control(
        "DPO and RL that pay for the option that the corpus answers with least, whatever the seed",
        _post_trained("seed", "blind", "blind"),
        (False, None),
        "settling",
    ),
}


def preset(name: str) -> Preset:
    """Return a preset by its name.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    if name not in PRESETS:
        raise SettingsError("no such preset", where="--preset", expected=", ".join(PRESETS), got=repr(name))
    return PRESETS[name]


def control(name: str) -> Control:
    """Return a kind of run by its name.

    Raises
    ------
    SettingsError
        If there is none of this name.
    """
    if name not in CONTROLS:
        raise SettingsError(
            "no such control", where="--control", expected=", ".join(CONTROLS), got=repr(name)
        )
    return CONTROLS[name]
