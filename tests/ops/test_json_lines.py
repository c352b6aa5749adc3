"""The compiled scanner against Python's own JSON: what it accepts is right, and it accepts what is plain."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crystal.ops.json_lines import INTEGER, MOST_FIELDS, NAME, RAW, TEXT, scan

FIELDS = [(("t",), TEXT), (("n",), NAME), (("i",), INTEGER), (("r",), RAW), (("m", "k"), TEXT)]

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.fixed_dictionaries(
    {},
    optional={
        "t": st.none() | st.text(),
        "n": st.none() | st.text() | st.integers(1, 10**9),
        "i": st.none() | st.integers(-(10**17), 10**17),
        "r": st.none() | FINITE | st.lists(st.integers(), max_size=3),
        "m": st.none() | st.fixed_dictionaries({"k": st.text()}) | st.integers(),
        "other": VALUES.filter(
            lambda value: "NaN" not in json.dumps(value) and "Inf" not in json.dumps(value)
        ),
    },
)
KEYS = st.sampled_from(["t", "n", "i", "r", "m", "k", "z"])


def lone(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def strict(line: bytes) -> Any:
    def refuse(name: str) -> None:
        raise ValueError(name)

    return json.loads(line.decode(), parse_constant=refuse)


def wanted(row: dict[str, Any]) -> list[Any]:
    """The row as the scanner must give it: text of names, integers, the rest as JSON values."""
    name = row.get("n")
    inner = row.get("m")
    return [
        row.get("t"),
        str(name) if isinstance(name, int) else name,
        None if row.get("i") is None else int(row["i"]),
        row.get("r"),
        inner.get("k") if isinstance(inner, dict) else None,
    ]


def found(block: bytes) -> tuple[dict[int, list[Any]], set[int]]:
    scanned = scan(block, FIELDS)
    for column in scanned.columns:
        column.validate(full=True)
    cells = zip(*(column.to_pylist() for column in scanned.columns), strict=True)
    rows = {
        line: [t, n, i, None if r is None else json.loads(r), k]
        for line, (t, n, i, r, k) in zip(scanned.lines.tolist(), cells, strict=True)
    }
    lines = block.split(b"\n")
    for line, start, stop in scanned.refused.tolist():
        assert block[start:stop] == lines[line]
    return rows, set(scanned.refused[:, 0].tolist())


@given(st.lists(PLAIN, max_size=12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_plain_rows_are_read_as_python_reads_them(rows: list[dict[str, Any]], escaped: bool) -> None:
    texts = [json.dumps(row, ensure_ascii=escaped) for row in rows]
    kept = [
        (text, row) for text, row in zip(texts, rows, strict=True) if not lone(json.loads(text).__repr__())
    ]
    read, refused = found("\n".join(text for text, _ in kept).encode("utf-8", "replace"))
    assert not refused
    assert [read[line] for line in sorted(read)] == [wanted(row) for _, row in kept]


@given(
    st.lists(st.tuples(st.dictionaries(KEYS, VALUES, max_size=4), st.integers(0, 99), st.binary(max_size=2)))
)
@settings(max_examples=120, deadline=None)
@example([({"t": "a"}, 0, b"")])
def test_what_is_accepted_is_right_whatever_the_bytes(rows: list[tuple[dict[str, Any], int, bytes]]) -> None:
    lines = []
    for row, place, junk in rows:
        text = json.dumps(row).encode("utf-8", "replace")
        cut = place % (len(text) + 1)
        lines.append((text[:cut] + junk + text[cut + len(junk) :]).replace(b"\n", b" "))
    block = b"\n".join(lines)
    read, refused = found(block)
    for number, line in enumerate(lines):
        if number in read:
            assert read[number] == wanted(strict(line))
        else:
            assert number in refused or not line.strip(b" \t\r\n")
    assert not refused & set(read)


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b"null",
        b"{",
        b"{}x",
        b"{} {}",
        b'{"t": "a"',
        b'{"t": "a",}',
        b'{,"t": "a"}',
        b'{"t" "a"}',
        b'{"t": a}',
        b'{"t": 1}',
        b'{"t": true}',
        b'{"t": ["a"]}',
        b'{"t": "a\tb"}',
        b'{"t": "\\x"}',
        b'{"t": "\\ud800"}',
        b'{"t": "\\udc00\\ud800"}',
        b'{"t": "\\u12"}',
        b'{"t": "\xff"}',
        b'{"t": "\xc0\x80"}',
        b'{"t": "\xed\xa0\x80"}',
        b'{"t": "\xf4\x90\x80\x80"}',
        b'{"t": "\xe2\x82"}',
        b'{"t": "a", "t": "b"}',
        b'{"n": 1.0}',
        b'{"n": -0}',
        b'{"n": 01}',
        b'{"i": 1.5}',
        b'{"i": 1e3}',
        b'{"i": 1.}',
        b'{"i": 1234567890123456789}',
        b'{"i": "1',
        b'{"i": "x"}',
        b'{"i": -}',
        b'{"r": NaN}',
        b'{"r": "1"}',
        b'{"r": [1,]}',
        b'{"r": {}}',
        b'{"r": -}',
        b'{"r": .5}',
        b'{"r": 1.e3}',
        b'{"m": {"k": 1}}',
        b'{"z": tru}',
        b'{"z": ' + b"[" * 99 + b"]" * 99 + b"}",
        b'{"z": {"a"}}',
        b'{"z": [1 2]}',
        b'{"a\\x": 1}',
        b'{"m": ' * 70 + b"1" + b"}" * 70,
    ],
)
def test_what_is_no_plain_row_is_left_to_the_caller(line: bytes) -> None:
    read, refused = found(b'{"t": "before"}\n' + line + b'\n{"t": "after", "i": 2}')
    assert refused == {1}
    assert read == {0: ["before", None, None, None, None], 2: ["after", None, 2, None, None]}


def test_escapes_and_odd_spaces_are_plain() -> None:
    escapes = rb"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"
    line = b' \t{ "\\u0074" : "' + escapes + b'" , "i" :2.0, "n": 7 ,"r":[ 1 , 2e3 ]}\r'
    read, refused = found(line)
    assert not refused
    assert read == {0: ['"\\/\b\f\n\r\té\N{GRINNING FACE}', "7", 2, [1, 2000.0], None]}


@pytest.mark.parametrize(
    "fields",
    [
        [(("a",), TEXT), (("a",), NAME)],
        [(("a",), TEXT), (("a", "b"), TEXT)],
        [(("a", "b"), TEXT), (("a",), TEXT)],
        [((), TEXT)],
        [(("a",), "float")],
        [((str(i),), TEXT) for i in range(MOST_FIELDS + 1)],
    ],
)
def test_fields_are_checked(fields: Any) -> None:
    with pytest.raises(ValueError, match=r"field|path"):
        scan(b"", fields)
