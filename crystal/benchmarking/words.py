"""Findings as text: for a terminal, and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crystal.benchmarking.results import Analysis, Findings, Operation, Peer, Timing, Whole


def amount(value: float) -> str:
    """Return a number with three digits and a unit of size.

    Examples
    --------
    >>> amount(12_345_678), amount(950), amount(0.5)
    ('12.3 M', '950', '0.5')
    """
    for size, letter in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{letter}" if value < 1e12 else f"{value:.3g}"
    return f"{value:.3g}"


def peers(found: Sequence[Peer]) -> str:
    """Return one cell: ratios of the timed peers, and what became of the others."""
    parts = []
    for peer in found:
        if peer.state == "timed" and peer.ratio is not None:
            parts.append(f"{peer.ratio:.2f}x {peer.name}")
        else:
            parts.append(f"{peer.name} {'absent' if peer.state == 'absent' else 'gives another answer'}")
    return ", ".join(parts) or "-"


def tables(found: Findings) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return each table of a run: its title, its head and its rows."""
    made: list[tuple[str, list[str], list[list[str]]]] = []
    if found.operations:
        head = ["operation", "size", "a CPU second", "MB/CPU-s", "cores", "against peers"]
        made.append(("Operations", head, [_operation(one) for one in found.operations]))
    if found.whole:
        head = [
            "log",
            "samples",
            "file",
            "samples/CPU-s",
            "MB/CPU-s",
            "cores",
            "peak memory",
            "against peers",
        ]
        made.append(("Reading and counting", head, [_whole(one) for one in found.whole]))
    return made


def remarks(found: Findings) -> list[str]:
    """Return what stands below the tables."""
    lines = [
        f"{form}: CPU seconds grow as samples to the power {slope:.2f}."
        for form, slope in found.slopes.items()
    ]
    if found.analysis is not None:
        lines.append(_analysis(found.analysis))
    return lines


def losses(found: Findings) -> list[str]:
    """Return every peer that took fewer CPU seconds than crystal."""
    named = [(one.title, one.peers) for one in found.operations]
    named += [(f"{one.format}, {one.samples:,} samples", one.peers) for one in found.whole]
    return [
        f"{title}: {peer.name} takes {peer.ratio:.2f} of crystal's CPU seconds"
        for title, group in named
        for peer in group
        if peer.ratio is not None and peer.ratio < 1
    ]


def as_text(found: Findings) -> str:
    """Return a run for a terminal."""
    lines = [f"{name}: {value}" for name, value in found.machine.items()]
    for title, head, rows in tables(found):
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines += ["", title]
        lines += [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in (head, *rows)
        ]
    lines += ["", *remarks(found)]
    if any(one.peers for one in found.operations) or any(one.peers for one in found.whole):
        lines += ["", "Ratios are CPU seconds of the peer for one of crystal's; above 1 crystal is faster."]
        lines += [f"Loss: {loss}." for loss in losses(found)] or ["No peer was faster."]
    return "\n".join(lines)


def as_markdown(found: Findings, picture: str | None = None) -> str:
    """Return a run as Markdown, with the picture at a relative path."""
    lines = ["", "| machine | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in found.machine.items()]
    for title, head, rows in tables(found):
        lines += ["", f"## {title}", "", *_markdown(head, rows)]
    lines += ["", *(f"* {line}" for line in remarks(found))]
    if picture is not None:
        lines += ["", f"![CPU seconds over samples]({picture})"]
    found_losses = losses(found)
    lines += ["", "## Where a peer was faster", ""]
    lines += [f"* {loss}." for loss in found_losses] or ["Nowhere in this run."]
    return "\n".join(lines) + "\n"


def _markdown(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _operation(one: Operation) -> list[str]:
    rate = one.nbytes / one.timing.cpu_seconds / 1e6
    return [
        one.title,
        f"{amount(one.items)} {one.unit}",
        f"{amount(one.rate)} {one.unit}",
        f"{rate:,.0f}",
        _cores(one.timing),
        peers(one.peers),
    ]


def _whole(one: Whole) -> list[str]:
    return [
        one.format,
        f"{one.samples:,}",
        f"{one.file_bytes / 1e6:,.1f} MB",
        amount(one.samples / one.timing.cpu_seconds),
        f"{one.file_bytes / one.timing.cpu_seconds / 1e6:,.0f}",
        _cores(one.timing),
        "unknown" if one.peak_bytes is None else f"{one.peak_bytes / 2**20:,.0f} MiB",
        peers(one.peers),
    ]


def _cores(timing: Timing) -> str:
    return f"{timing.cores:.2f}"


def _analysis(one: Analysis) -> str:
    took, counted = one.timing, one.counting
    shape = f"{one.tasks} tasks x {one.checkpoints} checkpoints x {one.prompts} prompts"
    rest = took.cpu_seconds - counted.cpu_seconds
    text = (
        f"The whole analyze of {one.samples:,} samples ({shape}), report on disk: "
        f"{took.wall_seconds:.1f} s on {took.cores:.2f} cores, {amount(one.rate)} samples/s. "
        f"Reading and counting: {counted.wall_seconds:.1f} s ({counted.cpu_seconds:.1f} CPU seconds); "
        f"statistics and report: {rest:.1f} CPU seconds, {rest / one.tasks:.2f} a task."
    )
    if one.peak_bytes is not None:
        text += f" Peak memory {one.peak_bytes >> 20:,} MiB, helpers apart."
    return text
