"""The errors that crystal raises on purpose: each says where, what was expected, what came and what to do.

Anything else that escapes is a defect of crystal, not of the input. The command line maps
:attr:`CrystalError.exit_code` to its exit status.
"""

from __future__ import annotations


class CrystalError(Exception):
    """Base of every error that crystal raises on purpose.

    Parameters
    ----------
    message : str
        What is wrong, in one sentence.
    where : str, optional
        The file (and row), argument or state that is at fault.
    expected, got : str, optional
        What would have been right, and what came instead.
    fix : str, optional
        What the reader can do about it.

    Examples
    --------
    >>> print(InputError("the field is missing", where="a.jsonl, row 3", expected="'text'", fix="use --map"))
    a.jsonl, row 3: the field is missing (expected 'text'); use --map
    """

    exit_code = 4

    def __init__(
        self,
        message: str,
        *,
        where: str | None = None,
        expected: str | None = None,
        got: str | None = None,
        fix: str | None = None,
    ) -> None:
        self.message, self.where, self.expected, self.got, self.fix = message, where, expected, got, fix
        details = ", ".join(
            f"{word} {value}" for word, value in (("expected", expected), ("got", got)) if value is not None
        )
        text = f"{where}: {message}" if where else message
        text += f" ({details})" if details else ""
        super().__init__(text + (f"; {fix}" if fix else ""))


class InputError(CrystalError):
    """Samples, logs or files that cannot be read as what they claim to be."""

    exit_code = 3


class LadderError(InputError):
    """Checkpoints that cannot be put in one order: conflicting names, or an order that nobody gave."""


class TaskError(InputError):
    """A task file, an option list or an answer rule that cannot be used."""


class StateError(InputError):
    """A mergeable state that is corrupt, of another version, or of another configuration."""


class ServerError(InputError):
    """A server of models that refuses, fails, or does not answer as its interface promises."""


class SettingsError(CrystalError, ValueError):
    """An argument of a function or a flag of the command line that is outside its range."""

    exit_code = 2


class BuildError(CrystalError, ImportError):
    """The compiled core is missing or older than the Python beside it."""
