from __future__ import annotations

import html
import itertools
import re
from collections.abc import Callable
from html.parser import HTMLParser
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.phases.results import PhaseReport
from crystal.report.html import to_html
from crystal.report.markup import Markup, escape, join, tag
from crystal.report.words import clean

Factory = Callable[..., PhaseReport]
VOID = {"meta", "input", "br", "hr"}


class Page(HTMLParser):
    """Reads a page, holds it to well-formedness, and collects what the tests ask for."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    def count(self, name: str) -> int:
        return sum(tag == name for tag, _ in self.elements)


def test_page_says_what_the_report_says(make_report: Factory) -> None:
    page = Page(to_html(make_report(rejected=3)))
    text = " ".join(" ".join(page.text).split())
    for words in (
        "The three-phase picture holds",
        "Before post-training, different prompts",
        "3 records refused",
        "rejected.jsonl",
        "operationalisation of",
        "base to sft: 2 of 3 tasks differ",
        "one distribution of the base",
        "name a number 0.810",
        "sharpening exponent 1.90 [1.60, 2.30]",
        "By prompt family",
        "margins.liquid 0.100",
        "changed 1, of 9, verdicts (FROZEN 4, SETTLING 5)",
        "checkpoint base, tasks 3, rejected 0",
        "Jensen-Shannon divergence in bits",
        "samples.jsonl",
    ):
        assert words in text, words
    assert page.count("details") >= 3 * (1 + 2)
    assert page.count("svg") > 100


def test_what_is_missing_is_said(make_report: Factory) -> None:
    text = " ".join(Page(to_html(make_report(picture=None))).text)
    assert "neither confirm nor refute" in text
    assert "What is missing" in text
    assert "2 prompts" in text
    assert "What is missing" not in to_html(make_report())


@pytest.mark.parametrize("picture", [True, False, None])
def test_page_is_accessible_by_structure(make_report: Factory, picture: bool | None) -> None:
    page = Page(to_html(make_report(picture=picture, ladders=("a", "b"))))
    assert dict(page.elements)["html"] == {"lang": "en"}
    for landmark in ("header", "main", "footer", "nav", "title", "h1"):
        assert page.count(landmark) == 1, landmark
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch("h[1-6]", name)]
    assert all(b <= a + 1 for a, b in itertools.pairwise(levels))
    for name, attributes in page.elements:
        if name == "th":
            assert attributes["scope"] in ("row", "col")
        if name == "svg":
            assert attributes["aria-hidden"] == "true"
    assert page.count("table") == page.count("thead") == page.count("caption")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_page_needs_nothing_from_elsewhere(make_report: Factory) -> None:
    text = to_html(make_report())
    page = Page(text)
    for _, attributes in page.elements:
        assert not {"src", "srcset", "style", "action", "data", "poster"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    policy = next(a["content"] for n, a in page.elements if n == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


EVIL = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</style></title></textarea><svg/onload=alert(1)>",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    '=HYPERLINK("http://x")',
    "\x1b[31m\x00\x9b\u202e]]><!-- -->",
    "{{7*7}} ${7*7} %s {0}",
    "&lt;script&gt; &amp;amp;",
]


@pytest.mark.parametrize("evil", EVIL)
def test_hostile_text_stays_text(make_report: Factory, evil: str) -> None:
    calm = Page(to_html(make_report(ladders=("l",), tasks=("t",), families=("f", "g"), picture=None)))
    report = make_report(ladders=(evil,), tasks=(evil,), families=(evil, "g"), picture=None)
    ladder = report.ladders[evil]
    ladder.evidence[0] = evil
    ladder.sensitivity[evil] = {evil: [evil, {evil: evil}]}
    ladder.checkpoints[0].checkpoint = evil
    ladder.transitions[0].reason = evil
    ladder.tasks[evil].transitions[0].reason = evil
    ladder.tasks[evil].transitions[0].metrics["jsd"].estimator = evil
    seed = ladder.tasks[evil].seed
    assert seed is not None
    seed.prompt, seed.weights, seed.reason = evil, {evil: 1.0}, evil
    report.inputs.files[0] = evil
    report.settings[evil] = evil
    text = to_html(report)
    page = Page(text)
    for name in ("script", "img", "style", "title", "meta", "h4"):
        assert page.count(name) == calm.count(name), name
    assert {n for n, _ in page.elements} <= {n for n, _ in calm.elements} | {"ul", "li", "dl", "dt", "dd"}
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", text)
    assert escape(evil) in text


def test_same_report_same_page(make_report: Factory) -> None:
    assert to_html(make_report()) == to_html(make_report())


def test_a_report_without_ladders_is_still_a_page(make_report: Factory) -> None:
    Page(to_html(make_report(ladders=())))


def test_markup_escapes_everything_it_did_not_make() -> None:
    assert tag("p", "<b>", Markup("<i>"), None, ["&", tag("br")]) == "<p>&lt;b&gt;<i>&amp;<br></p>"
    assert (
        tag("a", href='"x"', hidden=True, title=None, data_a=False) == '<a href="&quot;x&quot;" hidden></a>'
    )
    assert tag("svg", tag("line", x1=1)) == '<svg><line x1="1"/></svg>'
    assert join(["a", 1, ["<"]]) == "a1&lt;"
    assert isinstance(escape("x"), Markup)
    with pytest.raises(ValueError, match="attribute"):
        tag("p", **{"on click=": "x"})


def _colours(css: str) -> list[dict[str, str]]:
    light, dark = re.findall(r":root \{(.*?)\}", css, re.S)
    pairs = [dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block)) for block in (light, dark)]
    return [pairs[0], {**pairs[0], **pairs[1]}]


def _luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(a: str, b: str) -> float:
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def test_contrast_in_both_schemes() -> None:
    css = resources.files("crystal.report").joinpath("page.css").read_text(encoding="utf-8")
    for scheme in _colours(css):
        chips = [(name, f"{name}-bg") for name in scheme if f"{name}-bg" in scheme]
        assert len(chips) == 7
        texts = [(ink, ground) for ink in ("ink", "soft", "link") for ground in ("page", "panel")]
        for ink, ground in chips + texts:
            assert _contrast(scheme[ink], scheme[ground]) >= 4.5, (ink, ground)


@given(st.text(st.sampled_from(" aZ09.,;:!?#%()*+-/=[]{}|~^_`@\\$'\"<>&\t\n\x1b\u200eé"), max_size=12))
def test_plain_text_takes_the_short_way_to_the_same_markup(text: str) -> None:
    assert escape(text) == html.escape(clean(text), quote=True)
