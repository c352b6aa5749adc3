from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crystal.errors import StateError
from crystal.states.manifest import Manifest

RANGES = st.lists(
    st.tuples(st.integers(0, 30), st.integers(0, 30)).map(lambda r: (min(r), max(r))), max_size=8
)


@given(RANGES)
def test_ranges_are_the_set_of_rows(ranges: list[tuple[int, int]]) -> None:
    manifest, rows, twice = Manifest(), set[int](), 0
    for start, stop in ranges:
        new = set(range(start, stop))
        if new & rows:
            with pytest.raises(StateError, match="counted twice"):
                manifest.cover("d", start, stop)
        twice += len(new & rows)
        rows |= new
        manifest.cover("d", start, stop, allow_duplicates=True)
    manifest.check_form()
    held = [row for _, start, stop in manifest for row in range(start, stop)]
    assert held == sorted(rows)
    assert manifest.duplicates == twice
    # Adjacent ranges are joined, so there is one way to write a set of rows.
    assert all(b < c for (_, _, b), (_, c, _) in zip(list(manifest), list(manifest)[1:], strict=False))


def test_the_rows_that_overlap_are_named() -> None:
    manifest = Manifest()
    manifest.cover("content", 0, 10)
    with pytest.raises(StateError, match=r"rows \[7, 10\) of the content content are counted twice"):
        manifest.cover("content", 7, 20)
    manifest.cover("other", 7, 20)
    assert list(manifest) == [("content", 0, 10), ("other", 7, 20)]


def test_merge_joins_inputs_and_leaves_the_other_alone() -> None:
    one = Manifest(ranges={"d": [(0, 5)]}, files=["b"], samples=4, rejected=1)
    other = Manifest(ranges={"d": [(5, 9)], "e": [(0, 1)]}, files=["a", "b"], samples=5)
    one.merge(other)
    assert one.ranges == {"d": [(0, 9)], "e": [(0, 1)]}
    assert (one.files, one.samples, one.rejected) == (["a", "b"], 9, 1)
    one.cover("e", 1, 3)
    assert other.ranges == {"d": [(5, 9)], "e": [(0, 1)]}


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (4, 3)])
def test_what_is_no_range_is_refused(start: int, stop: int) -> None:
    with pytest.raises(StateError, match="no range"):
        Manifest().cover("d", start, stop)


@pytest.mark.parametrize(
    "manifest",
    [
        Manifest(ranges={"d": []}),
        Manifest(ranges={"d": [(0, 5), (5, 6)]}),
        Manifest(ranges={"d": [(4, 5), (0, 1)]}),
        Manifest(ranges={"d": [(3, 3)]}),
        Manifest(ranges={"d": [(-3, 3)]}),
        Manifest(files=["b", "a"]),
        Manifest(samples=-1),
    ],
)
def test_a_manifest_out_of_form_is_refused(manifest: Manifest) -> None:
    with pytest.raises(StateError, match="not in order"):
        manifest.check_form()
