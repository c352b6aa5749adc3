"""What is loaded when, and who may import whom beyond what import-linter sees."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "pyarrow", "torch", "triton", "ray", "transformers", "scipy", "pandas")


def _loaded(code: str) -> set[str]:
    script = f"{code}\nimport sys; print('loaded', *(m for m in {HEAVY} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    word, *modules = done.stdout.splitlines()[-1].split()  # the code itself may print before
    assert word == "loaded"
    return set(modules)


@pytest.mark.parametrize(
    "code",
    [
        "import crystal; crystal.__version__; dir(crystal)",
        "import crystal, crystal.errors, crystal.samples, crystal.phases.settings, crystal.phases.results",
        "import crystal\nfor run in crystal.datasets.load('lab-small').runs.values():\n    run.truth",
        "import crystal.kernels",
        "import sys\nsys.argv = ['crystal', '--help']\nfrom crystal.cli.main import run\n"
        "try:\n    run()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code",
    ],
)
def test_light_imports_stay_light(code: str) -> None:
    assert _loaded(code) == set()


def test_the_probe_sees_heavy_modules() -> None:
    assert _loaded("import numpy") == {"numpy"}


def test_public_names_resolve() -> None:
    import crystal

    for name in crystal.__all__:
        assert getattr(crystal, name) is not None, name
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = crystal.no_such_name


def _imports(path: Path) -> list[tuple[int, str]]:
    """Every (relative level, module) that a file imports, at any depth."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found += [
                (node.level, f"{module}.{alias.name}" if module else alias.name) for alias in node.names
            ]
    return found


def test_only_ops_touches_compiled_code() -> None:
    for path in sorted((ROOT / "crystal").rglob("*.py")):
        if path.is_relative_to(ROOT / "crystal" / "ops"):
            continue
        for _, module in _imports(path):
            assert not module.startswith(("crystal._core", "crystal.kernels", "_core")), f"{path}: {module}"


def test_kernels_import_nothing_of_crystal() -> None:
    for path in sorted((ROOT / "kernels").rglob("*.py")):
        for level, module in _imports(path):
            assert level > 0 or not module.startswith(("crystal", "kernels")), f"{path}: {module}"


def test_the_core_knows_neither_python_nor_files() -> None:
    banned = ("Python.h", "pybind11", "<fstream>", "<iostream>", "<cstdio>")
    sources = [*(ROOT / "csrc" / "core").glob("*"), *(ROOT / "csrc" / "include").rglob("*.hpp")]
    assert sources
    for path in sources:
        text = path.read_text(encoding="utf-8")
        assert not any(word in text for word in banned), path


def test_files_stay_short_enough_to_read() -> None:
    limits = {".py": 400, ".cpp": 300, ".hpp": 300}
    folders = ("crystal", "csrc", "kernels")
    for path in sorted(p for folder in folders for p in (ROOT / folder).rglob("*") if p.suffix in limits):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        limit = 250 if path.is_relative_to(ROOT / "kernels") else limits[path.suffix]
        assert lines <= limit, f"{path.relative_to(ROOT)} has {lines} lines: it asks to be two"
