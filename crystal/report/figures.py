"""Small drawings for the web page, as inline SVG.

They are hidden from screen readers, because the same numbers stand beside each of them as text.
"""

from __future__ import annotations

from collections.abc import Iterable

from crystal.phases.results import Metric
from crystal.report.markup import Markup, tag

_WIDTH, _HEIGHT = 120, 12


def scale(metrics: Iterable[Metric]) -> tuple[float, float] | None:
    """Return the range that holds all values, limits, nulls and 0; None where nothing is known."""
    known = [
        x
        for m in metrics
        for x in (m.value, m.low, m.high, m.prompt_low, m.prompt_high, m.null)
        if x is not None
    ]
    if not known:
        return None
    low, high = min(0.0, *known), max(0.0, *known)
    return (low, high) if high > low else (low, low + 1.0)


def interval_figure(metric: Metric, limits: tuple[float, float] | None) -> Markup | None:
    """Draw a value, its interval (thick), the interval for new prompts (thin), its null (a tick) and 0."""
    if limits is None or (metric.value is None and metric.low is None and metric.high is None):
        return None

    def x(value: float) -> float:
        low, high = limits
        return round(2 + (value - low) / (high - low) * (_WIDTH - 4), 1)

    def line(start: float, end: float, kind: str) -> Markup:
        return tag("line", x1=x(start), x2=x(end), y1=6, y2=6, class_=kind)

    def tick(value: float, kind: str) -> Markup:
        return tag("line", x1=x(value), x2=x(value), y1=1, y2=11, class_=kind)

    parts = [tick(0.0, "zero")]
    if metric.prompt_low is not None and metric.prompt_high is not None:
        parts.append(line(metric.prompt_low, metric.prompt_high, "wide"))
    if metric.low is not None or metric.high is not None:
        low = metric.low if metric.low is not None else limits[0]
        high = metric.high if metric.high is not None else limits[1]
        parts.append(line(low, high, "range"))
    if metric.null is not None:
        parts.append(tick(metric.null, "null"))
    if metric.value is not None:
        parts.append(tag("circle", cx=x(metric.value), cy=6, r=2.6, class_="dot"))
    return tag(
        "svg",
        parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        class_="interval",
        aria_hidden="true",
    )


def counts_figure(counts: dict[str, int], order: Iterable[str]) -> Markup | None:
    """Draw verdict counts as one bar, in a fixed order of verdicts."""
    total = sum(counts.values())
    if not total:
        return None
    parts, start = [], 0.0
    for verdict in order:
        width = counts.get(verdict, 0) / total * _WIDTH
        if width:
            parts.append(
                tag(
                    "rect",
                    x=round(start, 1),
                    y=1,
                    width=round(width, 1),
                    height=_HEIGHT - 2,
                    class_=f"fill {verdict.lower()}",
                )
            )
        start += width
    return tag(
        "svg",
        parts,
        viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH,
        height=_HEIGHT,
        class_="bar",
        aria_hidden="true",
    )
