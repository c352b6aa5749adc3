"""HTML by construction: what is not markup already is escaped, so hostile text cannot become markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from functools import cache
from typing import TypeAlias

from crystal.report.words import clean

_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")
_NOT_PLAIN = re.compile("[^ !#-%(-;=?-~]|  ")  # all that cleaning or escaping may change, and more
_VOID = frozenset({"br", "hr", "meta", "input"})
_SVG_SHAPES = frozenset({"line", "rect", "circle", "path"})  # XML's rule: not closed, they would nest


class Markup(str):
    """Text that is markup already. Only this module and constants of the package make it."""

    __slots__ = ()


Child: TypeAlias = "str | int | Iterable[Child] | None"


def escape(text: str) -> Markup:
    """Return text from outside as harmless markup: escaped, control bytes and reordering marks taken out."""
    if _NOT_PLAIN.search(text) is None:
        return Markup(text)
    return Markup(html.escape(clean(text), quote=True))


@cache
def _attribute(key: str) -> str:
    """Return the attribute that a keyword stands for; the package's own are few."""
    attribute = key.rstrip("_").replace("_", "-")
    if not _NAME.fullmatch(attribute):
        raise ValueError(f"not an attribute's name: {attribute!r}")
    return attribute


def tag(name: str, /, *children: Child, **attributes: str | int | float | bool | None) -> Markup:
    """Build an element.

    Parameters
    ----------
    name : str
        The element's name.
    *children
        Markup stays as it is, other text is escaped, None is nothing, iterables are taken apart.
    **attributes
        ``class_`` becomes ``class``, ``aria_label`` ``aria-label``; values are escaped; None and False are
        left out, True is the bare name.

    Examples
    --------
    >>> tag("p", "a < b", tag("b", "!"), class_='"x"')
    '<p class="&quot;x&quot;">a &lt; b<b>!</b></p>'
    """
    parts = [name]
    for key, value in attributes.items():
        attribute = _attribute(key)
        if value is None or value is False:
            continue
        parts.append(attribute if value is True else f'{attribute}="{escape(str(value))}"')
    inside = " ".join(parts)
    if not children and name in _VOID:
        return Markup(f"<{inside}>")
    if not children and name in _SVG_SHAPES:
        return Markup(f"<{inside}/>")
    return Markup(f"<{inside}>{join(children)}</{name}>")


def join(children: Child) -> Markup:
    """Return children one after the other as markup."""
    if isinstance(children, Markup):
        return children
    if isinstance(children, str):
        return escape(children)
    if children is None:
        return Markup("")
    if isinstance(children, int):
        return Markup(children)
    return Markup("".join([join(child) for child in children]))
