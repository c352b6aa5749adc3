"""The one place that loads the compiled core, and says how to mend it where it is missing or stale."""

from __future__ import annotations

from types import ModuleType

from crystal.errors import BuildError

_INTERFACE = 4
_MEND = "run 'make build' in the checkout, or reinstall the wheel from outside it"


def load() -> ModuleType:
    """Return ``crystal._core``.

    Raises
    ------
    BuildError
        If it is not there, cannot be loaded, or was built from other sources.
    """
    try:
        from crystal import _core
    except ImportError as error:
        raise BuildError(
            f"the compiled core does not load: {error}", where="crystal._core", fix=_MEND
        ) from error
    if _core.INTERFACE != _INTERFACE:
        raise BuildError(
            "the compiled core is of another build",
            where="crystal._core",
            expected=f"interface {_INTERFACE}",
            got=str(_core.INTERFACE),
            fix=_MEND,
        )
    module: ModuleType = _core
    return module
