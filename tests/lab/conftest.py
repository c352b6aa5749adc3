from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one tiny run of the main kind, trained and written."""
    from crystal.lab.run import Run

    folder = tmp_path_factory.mktemp("lab")
    run = Run(folder, "main", "tiny", 0)
    run.write(run.train())
    return folder
