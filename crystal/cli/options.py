"""Options that several verbs share: their names, help and defaults stand here once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crystal.errors import SettingsError

if TYPE_CHECKING:
    from crystal.phases.settings import Settings


def out(metavar: str, help_text: str) -> Any:
    """Return the option that names what is written."""
    return typer.Option("--out", "-o", metavar=metavar, help=help_text, show_default=False)


def under(what: str) -> Any:
    """Return the option that names one checkpoint for all rows of a table."""
    return typer.Option("--checkpoint", metavar="LADDER/STAGE/STEP", help=what, show_default=False)


def rendering(what: str) -> Any:
    """Return the option that says how prompts stand before texts."""
    return typer.Option("--rendering", metavar="auto|chat|completion", help=what)


def several(name: str, metavar: str, what: str) -> Any:
    """Return an option that takes names with commas between them (:func:`names`)."""
    return typer.Option(name, metavar=f"{metavar},...", help=what, show_default=False)


Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH...", help="Logs, or folders of logs.", show_default=False)
]
_MEASUREMENT = "measurement file, or a folder that analyze left"
Measurement = Annotated[
    Path, typer.Argument(metavar="MEASUREMENT", help=f"A {_MEASUREMENT}.", show_default=False)
]
Measurements = Annotated[
    list[Path],
    typer.Argument(metavar="MEASUREMENT...", help=f"For each a {_MEASUREMENT}.", show_default=False),
]
ReportOut = Annotated[Path | None, out("DIR", "Folder for the report's files.")]
MeasurementOut = Annotated[Path, out("FILE", "Measurement file to write.")]
TableOut = Annotated[Path, out("FILE", "Sample table to write: .parquet or .arrow.")]
LogOut = Annotated[Path, out("FILE", "Sample table to write: .parquet, .arrow or .jsonl.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document to stdout, all else to stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Write into a folder that holds other things; replace only own files."),
]

Format = Annotated[
    str, typer.Option("--format", metavar="NAME", help="Format of the logs; auto looks at them.")
]
Tasks = Annotated[
    str | None,
    typer.Option(
        "--tasks",
        metavar="default|FILE.toml",
        help="Bind option lists: the 15 tasks that come with crystal, or your own. Without it, options are "
        "what was seen.",
        show_default=False,
    ),
]
Answer = Annotated[
    str,
    typer.Option(
        "--answer",
        metavar="RULE",
        help="How to find the answer in a text where no list is bound: short, first-word, last-word, whole, "
        "regex:PATTERN, modelun.",
    ),
]
Map = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="FIELD=NAME,...",
        help="Names of the log for fields of the sample table, as in prompt=input,text=output.",
        show_default=False,
    ),
]
CheckpointRules = Annotated[
    list[str] | None,
    typer.Option(
        "--checkpoint",
        metavar="GLOB=LADDER/STAGE/STEP",
        help="Checkpoint of the files that match (their path relative to PATH); first match wins; repeat.",
        show_default=False,
    ),
]
OnError = Annotated[
    str,
    typer.Option("--on-error", metavar="collect|raise", help="Refuse bad records and go on, or stop at one."),
]
AllowDuplicates = Annotated[
    bool, typer.Option("--allow-duplicates", help="Count what comes twice again, instead of refusing it.")
]
Sequences = Annotated[
    bool,
    typer.Option(
        "--sequences",
        help="Look at the texts themselves too: n-gram diversity, repetition, overlap. The measurement then "
        "holds some of the texts.",
    ),
]

Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        metavar="PATH",
        help="The checkpoint: a folder as transformers saves it, or a .gguf file.",
        show_default=False,
    ),
]
Device = Annotated[
    str, typer.Option("--device", metavar="NAME", help="Where to compute: auto, cpu, cuda, cuda:1, mps.")
]
Dtype = Annotated[
    str, typer.Option("--dtype", metavar="NAME", help="auto (as saved), float32, bfloat16 or float16.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Throw away what an earlier run has done, instead of going on.")
]
Temperature = Annotated[float, typer.Option("--temperature", help="Divides the logits.")]

Alpha = Annotated[float, typer.Option("--alpha", help="Level of every test, 1 - level of every interval.")]
Seed = Annotated[int, typer.Option("--seed", help="Seed of the generator: the same seed, the same bytes.")]
Order = Annotated[
    str | None,
    typer.Option(
        "--order",
        metavar="NAME,...",
        help="Checkpoints in training order, where steps and stages do not give one.",
        show_default=False,
    ),
]
ChangePoints = Annotated[
    str,
    typer.Option(
        "--change-points",
        metavar="METHOD",
        help="How transitions of a long ladder are found: cuts, or the scan of Arnold et al. with their "
        "linear, TV or JS dissimilarity (arnold-linear, arnold-tv, arnold-js).",
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Another setting, as in draws=9999 or margins.liquid=0.2 (a wrong name lists them all); repeat.",
        show_default=False,
    ),
]
FailOn = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-on",
        metavar="WORD",
        help="Exit with 1 if a transition of a ladder has this verdict (RENUCLEATION, ...), if any task "
        "changed (changed), if the picture is refuted (picture-false) or unknown (picture-unknown), or if a "
        "record was refused (rejected); repeat.",
        show_default=False,
    ),
]


def mapping(items: list[str] | None) -> dict[str, str] | None:
    """Read ``--map``: ``FIELD=NAME`` items, several in one with commas.

    Raises
    ------
    SettingsError
        If an item is not of that form, or gives a field twice.

    Examples
    --------
    >>> mapping(["prompt=input,text=output"])
    {'prompt': 'input', 'text': 'output'}
    """
    if not items:
        return None
    found: dict[str, str] = {}
    for item in ",".join(items).split(","):
        field, equals, name = (part.strip() for part in item.partition("="))
        if not equals or not field or not name:
            raise SettingsError("not a mapping", where="--map", expected="FIELD=NAME", got=repr(item))
        if found.setdefault(field, name) != name:
            raise SettingsError(
                "a field is mapped twice", where="--map", got=f"{field}={found[field]} and {name}"
            )
    return found


def names(text: str | None) -> tuple[str, ...]:
    """Read names with commas between them."""
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def settings(
    alpha: float, seed: int, order: str | None, items: list[str] | None, change_points: str = "cuts"
) -> Settings:
    """Put the settings of a classification together.

    Raises
    ------
    SettingsError
        If a name is unknown or a value is not of its type.
    """
    import msgspec

    from crystal.phases.settings import Settings

    given: dict[str, Any] = {
        "alpha": alpha,
        "seed": seed,
        "order": names(order),
        "change_points": change_points,
    }
    for item in items or ():
        name, equals, value = (part.strip() for part in item.partition("="))
        if not equals or not name:
            raise SettingsError("not a setting", where="--set", expected="NAME=VALUE", got=repr(item))
        *path, last = name.split(".")
        place = given
        kind: Any = Settings
        for step in path:
            kind = _field_type(kind, step, name)
            place = place.setdefault(step, {})
        _field_type(kind, last, name)
        place[last] = names(value) if last == "order" else value
    try:
        return msgspec.convert(given, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise _unusable(error, given) from error


_OWN_FLAGS = ("alpha", "seed", "order", "change_points")
_TYPES = {int: "a whole number", float: "a number", bool: "true or false"}


def _unusable(error: Exception, given: dict[str, Any]) -> SettingsError:
    """Say which flag holds a value that is none, what it takes, and what it was given."""
    from typing import get_args

    from crystal.phases.settings import Settings

    found = error.__cause__
    if isinstance(found, SettingsError):  # of the right type, but out of its range
        return SettingsError(found.message, where=_flag(found.where), expected=found.expected, got=found.got)
    name = str(error).rpartition("`$.")[2].rstrip("`")
    kind: Any = Settings
    value: Any = given
    for step in name.split("."):
        kind, value = _field_type(kind, step, name), value[step]
    words = _TYPES.get(kind) or ", ".join(map(str, get_args(kind))) or "names in it, as in margins.liquid=0.2"
    return SettingsError("a setting cannot be used", where=_flag(name), expected=words, got=repr(value))


def _flag(name: str | None) -> str:
    return f"--{name.replace('_', '-')}" if name in _OWN_FLAGS else f"--set {name}"


def _field_type(kind: Any, field: str, name: str) -> Any:
    """Return the type of a field, so that a name that does not exist is refused and not ignored."""
    import msgspec

    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        for known in msgspec.structs.fields(kind):
            if known.name == field:
                return known.type
        expected = ", ".join(known.name for known in msgspec.structs.fields(kind))
        raise SettingsError("there is no such setting", where="--set", expected=expected, got=name)
    raise SettingsError("there is no such setting", where="--set", got=name)
