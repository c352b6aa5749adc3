"""Tables and coloured words, of which the web page is made."""

from __future__ import annotations

from collections.abc import Sequence

from crystal.report.markup import Child, Markup, tag


def chip(word: str) -> Markup:
    """Return a phase, verdict or answer as a coloured word."""
    return tag("span", word, class_=f"chip {word.lower()}")


def table(
    caption: str | None,
    headings: Sequence[Child],
    rows: Sequence[tuple[Child, Sequence[Child]]],
    *,
    numbers: int = 0,
) -> Markup:
    """Return a table with caption, column and row headers; the last ``numbers`` columns align right."""
    last = len(headings) - numbers
    head = tag(
        "tr",
        [tag("th", h, scope="col", class_="number" if i >= last else None) for i, h in enumerate(headings)],
    )
    body = []
    for title, cells in rows:
        first = len(cells) - numbers
        data = [tag("td", cell, class_="number" if i >= first else None) for i, cell in enumerate(cells)]
        body.append(tag("tr", tag("th", title, scope="row"), data))
    whole = tag(
        "table",
        tag("caption", caption) if caption else None,
        tag("thead", head),
        tag("tbody", body),
    )
    return tag("div", whole, class_="scroll", tabindex=0, role="group", aria_label=caption or "table")
