from __future__ import annotations

import importlib.util
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_picture_on_the_pages_is_drawn_from_the_ladder_that_ships() -> None:
    """If this fails: python docs/examples/draw_ladder.py > docs/pictures/lab-small.svg."""
    spec = importlib.util.spec_from_file_location(
        "draw_ladder", ROOT / "docs" / "examples" / "draw_ladder.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = module.draw()
    assert drawn == (ROOT / "docs" / "pictures" / "lab-small.svg").read_text(encoding="utf-8")
    assert set(re.findall(r"<(\w+)", drawn)) == {"svg", "style", "rect", "text", "path"}
