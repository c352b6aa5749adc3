"""The examples in docstrings run, and public names have them."""

from __future__ import annotations

import doctest
import importlib
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import crystal

ROOT = Path(__file__).resolve().parents[2]
NEEDS_TORCH = {
    "sample",
    "score",
    "token_stats",
    "token_divergence",
    "temperature_curve",
    "linear_token_stats",
}


def _modules() -> list[str]:
    paths = sorted((ROOT / "crystal").rglob("*.py"))
    return [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths
    ]


@pytest.mark.parametrize("name", _modules())
def test_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.endswith("__main__"):
        pytest.skip("importing it would run it")
    monkeypatch.chdir(tmp_path)
    module: ModuleType = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert result.failed == 0


@pytest.mark.parametrize("name", sorted(set(crystal.__all__) - {"__version__"}))
def test_public_names_are_documented(name: str) -> None:
    value = getattr(crystal, name)
    text = inspect.getdoc(value) or ""
    assert len(text.splitlines()) > 1, f"crystal.{name} has no real docstring"
    if inspect.isfunction(value):
        assert "Parameters" in text, name
        assert "Returns" in text, name
        assert ">>>" in text or name in NEEDS_TORCH, f"crystal.{name} has no runnable example"


def test_links_between_pages_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    assert pages
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
        for target in re.findall(r"\]\(([^)#\s]+)", text):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_no_page_names_a_machine() -> None:
    machine = re.compile(r"(?<![\w.:/])/(?:work|root|tmp|home)/\w")
    folders = ("crystal", "csrc", "kernels", "docs", "benchmarks")
    files = [p for folder in folders for p in (ROOT / folder).rglob("*") if p.is_file()] + list(
        ROOT.glob("*.md")
    )
    for path in files:
        if path.suffix in {".py", ".md", ".cpp", ".hpp", ".toml", ".json"}:
            assert not machine.search(path.read_text(encoding="utf-8")), path
