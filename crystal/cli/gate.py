"""``--fail-on``: conditions under which a finished analysis still ends with exit code 1."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, get_args

from crystal.errors import SettingsError

if TYPE_CHECKING:
    from crystal.phases.results import PhaseReport

_OTHERS = ("changed", "picture-false", "picture-unknown", "rejected")


def parse(gates: Iterable[str] | None) -> tuple[str, ...]:
    """Check the words of ``--fail-on``; verdicts may be written in any case.

    Raises
    ------
    SettingsError
        If a word is none of those.
    """
    from crystal.phases.results import Verdict

    known = {word.lower(): word for word in (*get_args(Verdict), *_OTHERS)}
    for gate in gates or ():
        if gate.lower() not in known:
            raise SettingsError(
                "there is no such condition",
                where="--fail-on",
                expected=", ".join(known.values()),
                got=repr(gate),
            )
    return tuple(known[gate.lower()] for gate in gates or ())


def failures(report: PhaseReport, gates: Iterable[str]) -> list[str]:
    """Return one sentence for each condition that a report meets."""
    found = []
    for gate in dict.fromkeys(gates):
        for name, ladder in report.ladders.items():
            if gate == "picture-false" and ladder.picture_holds is False:
                found.append(f"{name}: the picture is refuted")
            if gate == "picture-unknown" and ladder.picture_holds is None:
                found.append(f"{name}: whether the picture holds is unknown")
            for step in ladder.transitions:
                place = f"{name}, {step.from_} to {step.to}"
                if gate == "changed" and step.changed:
                    found.append(f"{place}: {step.changed} tasks changed")
                if step.verdict == gate:
                    found.append(f"{place}: {gate}")
        if gate == "rejected" and report.inputs.rejected:
            found.append(f"{report.inputs.rejected} records were refused")
    return found
