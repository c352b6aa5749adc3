"""``report.json``: reading one back, and the JSON Schema that it obeys.

The schema is generated from the types in :mod:`crystal.phases.results`, ``cluster_results`` and
``seed_results``. Write it anew after a change there::

    python -m crystal.report.report_json > crystal/report/report.schema.json
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import sys
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from crystal.errors import InputError
from crystal.phases import cluster_results, results, seed_results
from crystal.phases.results import PhaseReport

SCHEMA_FILE = "report.schema.json"
_MAJOR = "1"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of ``report.json``, as it ships with the package.

    Examples
    --------
    >>> schema()["$schema"]
    'https://json-schema.org/draft/2020-12/schema'
    """
    text = resources.files("crystal.report").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def read_report(path: str | Path) -> PhaseReport:
    """Read a report that was written as JSON; keys of a later minor version are ignored.

    Parameters
    ----------
    path : str or Path
        The file ``report.json``, or the folder that holds it.

    Raises
    ------
    InputError
        If there is no such file, or it is no report, or one of another major version.
    """
    file = Path(path)
    if file.is_dir():
        file = file / "report.json"
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise InputError("there is no such file", where=str(file), expected="a report.json") from None
    except OSError as error:
        raise InputError(f"the file cannot be read: {error.strerror}", where=str(file)) from error
    return parse_report(data, where=str(file))


def parse_report(data: bytes | str, *, where: str = "report.json") -> PhaseReport:
    """Read a report from JSON text.

    Raises
    ------
    InputError
        If the text is no report, or one of another major version.
    """
    fix = "give a report.json that 'crystal analyze' or 'crystal classify' wrote"
    try:
        version = msgspec.json.decode(data, type=_Version).schema_version
        if version.split(".")[0] != _MAJOR:
            raise InputError(
                "the report is of another version", where=where, expected=f"{_MAJOR}.x", got=version
            )
        return PhaseReport.from_json(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"this is no crystal report: {error}", where=where, fix=fix) from error


class _Version(msgspec.Struct):
    schema_version: str


def generate_schema() -> dict[str, Any]:
    """Return the JSON Schema that the report's types describe; fields carry their docstrings."""
    generated = msgspec.json.schema(PhaseReport)
    definitions: dict[str, dict[str, Any]] = generated["$defs"]
    for name, fields in _field_docs().items():
        properties = definitions.get(name, {}).get("properties", {})
        for field, text in fields.items():
            if field in properties:
                # A $ref may carry siblings in draft 2020-12.
                properties[field] = {**properties[field], "description": text}
    for definition in definitions.values():
        if "description" in definition:
            definition["description"] = _plain(definition["description"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:crystal-phases:report:1.0",
        "title": "crystal phase report",
        **generated,
    }


def _field_docs() -> dict[str, dict[str, str]]:
    """Return class -> field (by its name in JSON) -> the docstring that follows it in the source."""
    docs: dict[str, dict[str, str]] = {}
    for node in [
        n for m in (results, cluster_results, seed_results) for n in ast.parse(inspect.getsource(m)).body
    ]:
        if not isinstance(node, ast.ClassDef):
            continue
        fields = docs.setdefault(node.name, {})
        for statement, following in zip(node.body, node.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(following, ast.Expr)
                and isinstance(following.value, ast.Constant)
                and isinstance(following.value.value, str)
            ):
                fields[statement.target.id.rstrip("_")] = _plain(following.value.value)
    return docs


def _plain(text: str) -> str:
    """Take the markup of docstrings out of a description."""
    text = re.sub(r":\w+:`([^`]*)`", r"\1", text)
    return " ".join(text.replace("``", "").split())


if __name__ == "__main__":
    sys.stdout.write(json.dumps(generate_schema(), indent=2, ensure_ascii=False) + "\n")
