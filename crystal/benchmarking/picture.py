"""The picture of a run: CPU seconds over samples, both logarithmic, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, log10

from crystal.benchmarking.results import Findings, Whole
from crystal.report.markup import Markup, tag

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP = 640, 360, 70, 40, 20
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def as_svg(found: Findings) -> str:
    """Return the picture; without a whole job, an empty one that says so."""
    lines = _lines(found.whole)
    points = [point for _, line in lines for point in line]
    parts: list[Markup] = [tag("title", "CPU seconds to read and count, over samples")]
    if points:
        x_low, x_high = _decades([x for x, _ in points])
        y_low, y_high = _decades([y for _, y in points])

        def x_of(value: float) -> float:
            return round(_LEFT + (log10(value) - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - 150), 1)

        def y_of(value: float) -> float:
            height = _HEIGHT - _BOTTOM - _TOP
            return round(_TOP + (y_high - log10(value)) / (y_high - y_low) * height, 1)

        for power in range(x_low, x_high + 1):
            x = x_of(10.0**power)
            parts.append(tag("line", x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM, stroke="#ddd"))
            parts.append(_text(x, _HEIGHT - _BOTTOM + 18, f"{10**power:,}", "middle"))
        for power in range(y_low, y_high + 1):
            y = y_of(10.0**power)
            parts.append(tag("line", x1=_LEFT, x2=_WIDTH - 150, y1=y, y2=y, stroke="#ddd"))
            parts.append(_text(_LEFT - 8, y + 4, f"{10.0**power:g} s", "end"))
        for index, (name, line) in enumerate(lines):
            colour = _COLOURS[index % len(_COLOURS)]
            path = " ".join(f"{'L' if i else 'M'}{x_of(x)} {y_of(y)}" for i, (x, y) in enumerate(line))
            parts.append(tag("path", d=path, fill="none", stroke=colour, stroke_width=2))
            parts += [tag("circle", cx=x_of(x), cy=y_of(y), r=3, fill=colour) for x, y in line]
            parts.append(tag("rect", x=_WIDTH - 140, y=_TOP + 22 * index, width=12, height=12, fill=colour))
            parts.append(_text(_WIDTH - 122, _TOP + 22 * index + 11, name, "start"))
        parts.append(
            _text((_LEFT + _WIDTH - 150) / 2, _HEIGHT - 4, "samples (CPU seconds upwards)", "middle")
        )
    else:
        parts.append(_text(_WIDTH / 2, _HEIGHT / 2, "the whole job was not timed", "middle"))
    # As a file of its own, SVG needs its namespace, and a ground for readers of dark pages.
    ground = tag("rect", x=0, y=0, width=_WIDTH, height=_HEIGHT, fill="#fff")
    return tag(
        "svg", ground, parts, xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {_HEIGHT}",
        width=_WIDTH, height=_HEIGHT, role="img", font_family="sans-serif", font_size=12,
    )  # fmt: skip


def _lines(found: Sequence[Whole]) -> list[tuple[str, list[tuple[float, float]]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for one in found:
        lines.setdefault(f"crystal, {one.format}", []).append((one.samples, one.timing.cpu_seconds))
        for peer in one.peers:
            if peer.timing is not None:
                lines.setdefault(peer.name, []).append((one.samples, peer.timing.cpu_seconds))
    return list(lines.items())


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return low, max(high, low + 1)


def _text(x: float, y: float, text: str, anchor: str) -> Markup:
    return tag("text", text, x=x, y=y, text_anchor=anchor, fill="#333")
