"""What functions that take a measurement say to who hands them something else."""

from __future__ import annotations

from crystal.errors import SettingsError


def need_measurement(value: object, where: str) -> None:
    """Refuse what is no measurement, such as the path of one.

    Raises
    ------
    SettingsError
        It says how to come by one.
    """
    from crystal.states.measurement import Measurement

    if not isinstance(value, Measurement):
        raise SettingsError(
            "this is no measurement",
            where=where,
            expected="a Measurement",
            got=type(value).__name__,
            fix="crystal.measure(...) counts samples, crystal.Measurement.load(...) reads a file of counts",
        )
