"""What a classification looks like to a reader: JSON, tables, a terminal, a web page.

Every writer takes a :class:`crystal.phases.results.PhaseReport` and computes no statistic of its own.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystal.report.html import to_html as to_html
    from crystal.report.report_json import read_report as read_report
    from crystal.report.report_json import schema as schema
    from crystal.report.tables import counts_table as counts_table
    from crystal.report.tables import metrics_table as metrics_table
    from crystal.report.text import to_text as to_text

_HOMES = {
    "counts_table": "crystal.report.tables",
    "metrics_table": "crystal.report.tables",
    "read_report": "crystal.report.report_json",
    "schema": "crystal.report.report_json",
    "to_html": "crystal.report.html",
    "to_text": "crystal.report.text",
}

__all__ = ["counts_table", "metrics_table", "read_report", "schema", "to_html", "to_text"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'crystal.report' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
