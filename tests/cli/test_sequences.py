from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from crystal.cli.app import app


def test_texts_are_looked_at_where_asked_for(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    rows = [
        {"ladder": "l", "stage": s, "step": k, "task": "t", "prompt": "p", "text": f"w{i} w{i % 3}"}
        for k, s in enumerate(("base", "sft"))
        for i in range(20)
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = CliRunner()
    plain = run.invoke(app, ["analyze", str(log), "--json"])
    asked = run.invoke(app, ["analyze", str(log), "--json", "--sequences"])
    assert (plain.exit_code, asked.exit_code) == (0, 0), asked.output
    assert json.loads(plain.stdout)["ladders"]["l"]["sequences"] is None
    section = json.loads(asked.stdout)["ladders"]["l"]["sequences"]
    assert section["checkpoints"]["base-0"]["samples"] == 20
    saved = run.invoke(app, ["measure", str(log), "--sequences", "--out", str(tmp_path / "m.crystal")])
    assert saved.exit_code == 0, saved.output
    judged = run.invoke(app, ["classify", str(tmp_path / "m.crystal"), "--json"])
    assert json.loads(judged.stdout)["ladders"]["l"]["sequences"] == section
