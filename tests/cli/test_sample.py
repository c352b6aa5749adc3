"""``crystal sample``, and ``crystal analyze`` on what it leaves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_score import QUICK
from tests.sampling.conftest import make_network, make_tokenizer
from tests.sampling.openai_server import Speaker, serving

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def speaker() -> Speaker:
    pytest.importorskip("transformers")
    import torch

    torch.set_num_threads(1)
    return Speaker(make_network(), make_tokenizer())


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    """One task of four wordings; the tiny model takes no more than 48 tokens."""
    path = tmp_path / "tasks.toml"
    wordings = "".join(
        f'[[task.prompts]]\nid = "p{i}"\nfamily = "verb"\ncompletion = "flip {i}:"\nchat = "flip {i}"\n'
        for i in range(4)
    )
    path.write_text(f'[[task]]\nid = "coin"\noptions = ["a", "b", "e", "t"]\n{wordings}')
    return path


def test_from_a_model_to_a_report(inside: Run, speaker: Speaker, tasks: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    speaker.network.save_pretrained(folder)
    speaker.tokenizer.save_pretrained(folder)
    files = []
    for step, stage in enumerate(("base", "sft")):
        out = tmp_path / f"{stage}.parquet"
        words = ["--model", folder, "--checkpoint", f"toy/{stage}/{step}", "--tasks", tasks, "--out", out]
        done = inside("sample", *words, "--exact", "--histories", "2", "--history-length", "1", "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["rows"], document["units"], document["missing"]) == (24, 6, 0)
        assert document["rendering"] == {"base": "completion", "sft": "chat"}[stage]
        files.append(out)
    done = inside("analyze", *files, "--out", tmp_path / "report", "--tasks", tasks, *QUICK)
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    families = report["ladders"]["toy"]["tasks"]["coin"]["families"]
    assert set(families) == {"verb", "history"}


def test_from_a_server(
    inside: Run, speaker: Speaker, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "a secret")
    out = tmp_path / "a.parquet"
    speaker.faults.append("garbage")
    with serving(speaker) as url:
        where = ["--server", url, "--model", "tiny", "--key-env", "OTHER_KEY", "--extra", '{"user": "me"}']
        what = ["--checkpoint", "l/base/0", "--tasks", tasks, "--samples", "4", "--max-tokens", "2"]
        done = inside("sample", *where, *what, "--out", out)
    assert done.returncode == 0, done.stderr
    assert f"wrote {out}: 16 samples of 4 units of work (completion)" in done.stdout
    assert "1 request failed" in done.stderr
    assert "no JSON" in (tmp_path / "a.parquet.rejected.jsonl").read_text()
    assert {body["user"] for _, _, body in speaker.seen} == {"me"}
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir() if path.is_file())
    assert b"a secret" not in written
    assert "a secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "x.jsonl"], 2, "lists of numbers"),
        (["--checkpoint", "base"], 2, "ladder/stage/step"),
        (["--only", "dice"], 2, "no such task"),
        (["--tasks", "absent.toml"], 3, "cannot be read"),
        (["--extra", "{"], 2, "not JSON"),
        (["--extra", "[]"], 2, "not an object"),
        (["--server", "http://127.0.0.1:9/v1", "--retries", "0"], 3, "no connection"),
        (["--server", "here"], 2, "address of a server"),
    ],
)
def test_what_cannot_be_done_ends_with_its_code(
    inside: Run, tasks: Path, tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    given: dict[str, Any] = {
        "--server": "http://127.0.0.1:9/v1",
        "--model": "tiny",
        "--checkpoint": "l/base/0",
        "--tasks": tasks,
        "--out": tmp_path / "out.parquet",
    }
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    given.setdefault("--retries", "0")
    done = inside("sample", *(word for pair in given.items() for word in pair))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert not (tmp_path / "out.parquet").exists()
