"""The checked-in table of compiled code belongs to the kernels that are here."""

from __future__ import annotations

from crystal.kernels import compiled
from crystal.kernels.shipped import FAMILIES


def test_the_table_is_not_stale():
    assert compiled.written_fingerprint() == compiled.fingerprint(), (
        "kernels/compiled.md belongs to other sources or another Triton: run 'make kernels' and commit it"
    )


def test_the_table_holds_every_kernel_to_the_bar():
    text = compiled.TABLE.read_text(encoding="utf-8")
    assert ", 0 outside the bar." in text
    assert [line for line in text.splitlines() if line.startswith("## ")] == [
        f"## {name}" for name in FAMILIES
    ]


def test_staleness_is_told_by_the_exit_code(monkeypatch):
    assert compiled.main(["--stale"]) == 1
    monkeypatch.setattr(compiled, "fingerprint", lambda: "0123456789abcdef")
    assert compiled.main(["--stale"]) == 0
