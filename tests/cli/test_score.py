"""``crystal score``, and ``crystal analyze`` on what it leaves."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sampling.conftest import make_network, make_tokenizer

Run = Callable[..., subprocess.CompletedProcess[str]]
QUICK = [
    word
    for item in ("draws=99", "simulations=1", "splits=2", "interval_draws=20")
    for word in ("--set", item)
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two checkpoints of one ladder: the second is the first with its output layer sharpened."""
    transformers = pytest.importorskip("transformers")
    import torch

    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    folders = {}
    for name, factor in (("base", 0.2), ("sft", 1.0)):
        network, tokenizer = make_network(), make_tokenizer()
        with torch.no_grad():
            network.lm_head.weight.mul_(factor)
        folders[name] = tmp_path_factory.mktemp(name)
        network.save_pretrained(folders[name])
        tokenizer.save_pretrained(folders[name])
    return folders


ROW = {"stage": "base", "step": 0, "task": "coin", "prompt": "p", "text": ""}


def samples(path: Path, *extra: dict[str, Any]) -> Path:
    items = [
        {
            "stage": "base",
            "step": 0,
            "task": "coin",
            "prompt": f"flip {i % 2}",
            "text": ["heads", "tails"][i % 3 % 2],
        }
        for i in range(12)
    ]
    path.write_text("".join(json.dumps(item) + "\n" for item in [*items, *extra]))
    return path


def test_from_saved_texts_to_the_tokens_of_a_report(
    inside: Run, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    log = samples(
        tmp_path / "samples.jsonl", {"stage": "base", "step": 0, "task": "coin", "prompt": "p", "text": ""}
    )
    for step, (name, folder) in enumerate(checkpoints.items()):
        place = f"toy/{name}/{step}/{name}"
        out = tmp_path / f"{name}.parquet"
        done = inside(
            "score", "--model", folder, "--samples", log, "--out", out, "--checkpoint", place, "--json"
        )
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        assert (document["rows"], document["rejected"]) == (12, 1)
        assert document["rendering"] == {"base": "completion", "sft": "chat"}[name]
        rejected = (tmp_path / f"{name}.parquet.rejected.jsonl").read_text()
        assert "its text is empty" in rejected
        assert "refused 1 record" in done.stderr
    done = inside(
        "analyze", tmp_path / "base.parquet", tmp_path / "sft.parquet", "--out", tmp_path / "report", *QUICK
    )
    assert done.returncode == 0, done.stderr
    assert "change of tokens" in done.stdout
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    tokens = report["ladders"]["toy"]["tokens"]
    assert tokens["checkpoints"]["base"]["sequences"] == 12
    change = tokens["transitions"][0]["metrics"]["token_entropy_change"]
    assert (change["value"] < 0, change["prompts"], change["n"]) == (True, 2, 24)
    assert change["p"] < 0.001
    assert "<h3>Tokens</h3>" in (tmp_path / "report" / "report.html").read_text()


def test_it_says_what_it_wrote(inside: Run, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "scored.arrow"
    log = samples(tmp_path / "samples.jsonl")
    done = inside("score", "-m", checkpoints["sft"], "-s", log, "-o", out, "--rendering", "completion")
    assert done.returncode == 0, done.stderr
    assert f"wrote {out}: 12 samples" in done.stdout
    assert "(completion)" in done.stdout
    assert not (tmp_path / "scored.arrow.rejected.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--out", "x.csv"], 2, "which format"),
        (["--out", "x.jsonl"], 2, "lists of numbers"),
        (["--model", "absent"], 3, "no such folder or file"),
        (["--samples", "absent.jsonl"], 3, "no such file"),
        (["--checkpoint", "base"], 2, "ladder/stage/step"),
        (["--on-error", "raise"], 3, "its text is empty"),
    ],
)
def test_what_cannot_be_done_ends_with_its_code(
    inside: Run, checkpoints: dict[str, Path], tmp_path: Path, arguments: list[str], code: int, message: str
) -> None:
    log = samples(tmp_path / "s.jsonl", ROW)
    given = {
        "--model": str(checkpoints["sft"]),
        "--samples": str(log),
        "--out": str(tmp_path / "out.parquet"),
    }
    given |= dict(zip(arguments[::2], arguments[1::2], strict=True))
    if given["--model"] == "absent":  # a bare name would be looked for on a hub, with retries
        given["--model"] = str(tmp_path / "absent")
    done = inside("score", *(word for pair in given.items() for word in pair))
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert not (tmp_path / "out.parquet").exists()
