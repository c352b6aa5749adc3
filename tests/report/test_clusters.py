"""Clusters in the report: sentences, the grid of the web page, and the line of the summary."""

from __future__ import annotations

import json
from collections.abc import Callable

import jsonschema
import pyarrow as pa
import pytest

import crystal
from crystal.phases.cluster_results import Cluster, ClusterResult, ClusterTest
from crystal.phases.results import PhaseReport
from crystal.report.cluster_words import found_words, ladder_words, where_words
from crystal.report.html import to_html
from crystal.report.report_json import parse_report, schema
from crystal.report.text import to_text

LABEL = {"base": "base", "sft": "sft", "dpo": "dpo", "rl": "rl"}


def found(**changed: object) -> ClusterResult:
    fields = {
        "exact": False,
        "k": 2,
        "tests": [ClusterTest(k=1, p=0.025, draws=39), ClusterTest(k=2, p=0.4, draws=39)],
        "stability": 0.913,
        "within": 0.01,
        "clusters": [
            Cluster(cells={"base": 1, "sft": 2, "dpo": 2}, samples=100, distribution={"<b>": 0.9, "x": 0.1}),
            Cluster(cells={"base": 1, "rl": 1}, samples=50, distribution={"y": 0.7}),
        ],
        "prompts": ["<script>alert(1)</script>", "q" * 90],
        "families": ["", "<i>"],
        "cells": {"base": [1, 2], "sft": [1, 1], "dpo": [1, 1], "rl": [None, 2]},
        "seed": 1,
        "left_out": 1,
    }
    return ClusterResult(**{**fields, **changed})  # type: ignore[arg-type]


def test_sentences() -> None:
    assert (
        where_words(found(), LABEL)
        == "base: 2 prompts in 2 clusters; sft and dpo: all in cluster 1, the seed's; rl: one in cluster 2."
    )
    assert where_words(found(), LABEL, "<i>") == (
        "base: one in cluster 2; sft and dpo: one in cluster 1, the seed's; rl: one in cluster 2."
    )
    assert where_words(found(seed=2), {"sft": "SFT"}).startswith("base: 2 prompts in 2 clusters; SFT and dpo")
    assert where_words(found(seed=None), LABEL).count("seed") == 0
    assert where_words(found(cells={"base": [1, 2]}, seed=2), LABEL).endswith(
        "; the seed's prompt: cluster 2."
    )
    assert where_words(found(), LABEL, "no such family") == ""
    said = found_words(found())
    assert said.startswith(
        "7 cells (a prompt at a checkpoint) in 2 clusters, each one distribution as far as"
    )
    assert "1: p 0.025, 2: p 0.4" in said
    assert said.endswith("stability 0.91. 1 cell left out.")
    rejected = [ClusterTest(k=k, p=0.025, draws=39) for k in range(1, 10)]
    assert "10 clusters or more" in found_words(found(k=10, tests=rejected))
    assert "margin of the JSD" in found_words(found(exact=True, tests=[]))
    assert found_words(ClusterResult(exact=True, k=0, reason="too few")) == "No clusters: too few."
    spaced = found(reason="of 9 checkpoints 4, evenly spaced, take part")
    assert "Of the ladder's 9 checkpoints 4, evenly spaced, take part." in found_words(spaced)


def test_the_summary_has_one_line(make_report: Callable[..., PhaseReport]) -> None:
    report = make_report()
    (ladder,) = report.ladders.values()
    assert ladder_words(ladder) is None
    assert "Clusters" not in to_text(report)
    ladder.tasks["coin"].clusters = found()
    assert ladder_words(ladder) == (
        "Clusters that the prompts of a checkpoint lie in: base 2, sft 1, dpo 1, rl 1."
    )
    ladder.tasks["weekday"].clusters = found(cells={"base": [1, 1]})
    ladder.tasks["num10"].clusters = ClusterResult(exact=False, k=0, reason="too few")
    line = (
        "Clusters that the prompts of a checkpoint lie in (median of 2 tasks): base 1.5, sft 1, dpo 1, rl 1."
    )
    assert ladder_words(ladder) == line
    assert line in to_text(report, width=120)
    assert all(len(shown) <= 40 for shown in to_text(report, width=40).splitlines())


def test_the_page_shows_grid_and_members_and_escapes(make_report: Callable[..., PhaseReport]) -> None:
    report = make_report(tasks=("coin",))
    (ladder,) = report.ladders.values()
    assert "Clusters of distributions" not in to_html(report)
    ladder.tasks["coin"].clusters = found()
    page = to_html(report)
    assert "<h4>Clusters of distributions</h4>" in page
    assert page.count('class="chip cluster cluster-1"') == 6  # five cells and the list
    assert page.count('class="chip cluster cluster-2"') == 3
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert(1)" not in page
    assert f'title="{"q" * 90}"' in page
    assert "others 0.300" in page
    assert "<strong>&lt;i&gt;: </strong>" in page
    many = [Cluster(cells={"base": 1}, distribution={"x": 1.0})] * 30
    ladder.tasks["coin"].clusters = found(exact=True, k=30, clusters=many, cells={"base": [11, 30]})
    page = to_html(report)
    assert "the first 20 of 30" in page
    assert 'class="chip cluster cluster-10">30<' in page
    assert 'class="chip cluster cluster-1">11<' in page
    ladder.tasks["coin"].clusters = ClusterResult(exact=False, k=0, reason="<no> cells")
    assert "No clusters: &lt;no&gt; cells." in to_html(report)


@pytest.fixture(scope="module", name="rows")
def rows_fixture() -> list[dict[str, object]]:
    return [
        {"ladder": "l", "stage": stage, "step": step, "task": "t", "prompt": prompt, "text": text}
        for step, stage in enumerate(("base", "sft"))
        for prompt, letters in (("p", "aab"), ("q", "abb" if step else "bcc"))
        for text in letters * 5
    ]


def test_a_report_has_clusters_and_comes_back(rows: list[dict[str, object]]) -> None:
    report = crystal.analyze(pa.Table.from_pylist(rows))
    data = report.to_json()
    jsonschema.Draft202012Validator(schema()).validate(json.loads(data))
    clusters = report.ladders["l"].tasks["t"].clusters
    assert clusters is not None
    assert clusters.cells.keys() == {"base-0", "sft-1"}
    assert parse_report(data).ladders["l"].tasks["t"].clusters == clusters
    again = crystal.analyze(pa.Table.from_pylist(rows[::-1]))
    assert again.ladders["l"].tasks["t"].clusters == clusters
