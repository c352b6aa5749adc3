"""``crystal.sample`` on a server: real HTTP on loopback over a real model, and all that goes wrong."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crystal
from crystal.errors import InputError, ServerError, SettingsError
from crystal.sampling import http_client
from crystal.sampling.server import Server
from tests.sampling.conftest import Tiny, make_network, make_tokenizer, reference
from tests.sampling.openai_server import Speaker, serving
from tests.sampling.test_sample import OPTIONS, brute_force, rows, suite


@pytest.fixture
def speaker(tiny: Tiny) -> Speaker:
    return Speaker(tiny.network, tiny.tokenizer)


@pytest.fixture
def url(speaker: Speaker) -> Iterator[str]:
    with serving(speaker) as address:
        yield address


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_client, "_FIRST_PAUSE", 0.01)
    monkeypatch.delenv("CRYSTAL_API_KEY", raising=False)


def draw(url: str, out: Path, **more: Any) -> Any:
    given: dict[str, Any] = {"checkpoint": "l/base/3", "samples": 6, "max_tokens": 3, "tasks": suite()}
    server = {"model": "tiny", "concurrency": 3, "choices": 3, "timeout": 20.0, "retries": 3}
    for name, value in more.items():
        (server if name in Server.__dataclass_fields__ else given)[name] = value
    return crystal.sample(Server(url=url, **server), given.pop("tasks"), out, **given)


def test_draws_from_completions(speaker: Speaker, url: str, tiny: Tiny, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    done = draw(url, out, temperature=0.7, top_p=0.9, top_k=7)
    found = rows(out)
    assert (done.rows, done.units, done.missing, len(done.failures)) == (12, 4, 0, 0)
    assert [(row["prompt"], row["sample"]) for row in found] == [
        (f"verb/{i}", j) for i in range(2) for j in range(6)
    ]
    assert {path for _, path, _ in speaker.seen} == {"/v1/completions"}
    body = speaker.seen[0][2]
    assert [body[k] for k in ("n", "temperature", "top_p", "top_k", "max_tokens")] == [3, 0.7, 0.9, 7, 3]
    assert body["prompt"] in ("flip 0\nanswer:", "flip 1\nanswer:")
    assert len({body["seed"] for _, _, body in speaker.seen}) == 4
    assert found[0]["decoding"]["top_k"] == 7
    for row in found:
        ids = tiny.tokenizer(row["text"])["input_ids"]
        context = tiny.tokenizer(f"flip {row['prompt'][-1]}\nanswer:")["input_ids"]
        if row["text"] and len(ids) == len(row["logprobs"]):
            logprobs, _ = reference(tiny.network, context, ids, 0.7)
            if np.allclose(row["logprobs"], logprobs, atol=1e-4):
                break
    else:
        pytest.fail("no reply has the log-probabilities of its tokens")


def test_draws_from_chat(speaker: Speaker, url: str, tmp_path: Path) -> None:
    out = tmp_path / "a.parquet"
    done = draw(url, out, checkpoint="l/sft/3")
    assert (done.rendering, done.rows) == ("chat", 12)
    assert {path for _, path, _ in speaker.seen} == {"/v1/chat/completions"}
    body = speaker.seen[0][2]
    assert "top_k" not in body  # no part of the interface
    assert body["messages"][0]["content"] in ("flip 0", "flip 1")
    assert all(len(row["logprobs"]) <= 3 for row in rows(out))


FAULTS = ["429/0.05", "500", "503", "garbage", "strange", "close", "cut", "408", "409"]


@pytest.mark.parametrize("fault", FAULTS)
def test_what_fails_is_tried_again_and_counted(
    speaker: Speaker, url: str, tmp_path: Path, fault: str
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "a.parquet"
    draw(url, whole)
    before = len(speaker.seen)
    speaker.faults.extend([fault] * 3)
    done = draw(url, out)
    assert rows(out) == rows(whole)
    assert len(done.failures) == 3
    assert len(speaker.seen) - before == 4 + 3
    word = {"garbage": "no JSON", "strange": "not the promised", "close": "connection", "cut": "cut off"}
    for failure in done.failures:
        assert word.get(fault, f"HTTP {fault[:3]}") in failure.reason
        assert "task 'coin', prompt 'verb/" in failure.reason


def test_a_server_that_is_slow(speaker: Speaker, url: str, tmp_path: Path) -> None:
    speaker.faults.append("slow")
    done = draw(url, tmp_path / "a.parquet", timeout=0.4, concurrency=1)
    assert done.rows == 12
    assert next(iter(done.failures)).reason.endswith("no answer in time")


def test_retry_after_is_kept_and_pauses_double(
    speaker: Speaker, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    original = http_client.HttpClient._wait
    monkeypatch.setattr(
        http_client.HttpClient, "_wait", lambda self, s: (waits.append(s), original(self, min(s, 0.01)))[1]
    )
    monkeypatch.setattr(http_client, "_FIRST_PAUSE", 0.5)
    speaker.faults.extend(["429/7", "500", "500"])
    draw(url, tmp_path / "a.parquet", concurrency=1)
    pauses = [wait for wait in waits if wait > 0.1]
    assert pauses[0] == 7
    assert 0.5 <= pauses[1] <= 1.5  # 0.5 s doubled once, spread by a half
    assert 1.0 <= pauses[2] <= 3.0
    assert http_client._retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    later = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    assert 90 < http_client._retry_after(later) <= 100
    assert http_client._retry_after("soon") == 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("404", "HTTP 404"),
        ("403", "HTTP 403"),
        ("redirect", "HTTP 307"),
        ("429/100000", "asks to wait 100000 s"),
        ("500", "no answer after 4 attempts"),
    ],
)
@pytest.mark.parametrize("on_error", ["raise", "collect"])
def test_a_server_that_refuses_everything(
    speaker: Speaker, url: str, tmp_path: Path, fault: str, message: str, on_error: str
) -> None:
    speaker.always = fault
    with pytest.raises(ServerError, match=message):
        draw(url, tmp_path / "a.parquet", on_error=on_error, concurrency=1)
    assert len(speaker.seen) == (4 if fault == "500" else 1)
    assert list(tmp_path.iterdir()) == []


def test_units_without_an_answer_are_left_out_listed_and_asked_again(
    speaker: Speaker, url: str, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole.parquet", tmp_path / "a.parquet"
    draw(url, whole)
    before = len(speaker.seen)
    original = speaker.completion

    def picky(body: dict[str, Any]) -> dict[str, Any]:
        answer = original(body)
        if len(speaker.seen) == before + 1:  # behind the first answer
            speaker.faults.extend(["400", *["500"] * 4])
        return answer

    speaker.completion = picky  # type: ignore[method-assign]
    done = draw(url, out, on_error="collect", concurrency=1)
    assert (done.missing, done.rows, len(done.failures)) == (2, 6, 5)
    reasons = [failure.reason for failure in done.failures]
    assert "HTTP 400" in reasons[0]
    assert all("HTTP 500" in reason for reason in reasons[1:])
    kept = {(row["prompt"], row["sample"]): row for row in rows(out)}
    assert len(kept) == 6
    speaker.completion = original  # type: ignore[method-assign]
    before = len(speaker.seen)
    again = draw(url, out, on_error="collect", concurrency=1)
    assert (again.missing, again.resumed, again.rows) == (0, 2, 12)
    assert len(speaker.seen) == before + 2
    assert rows(out) == rows(whole)
    assert not (tmp_path / "a.parquet.parts").exists()


def test_a_server_that_gives_fewer_choices(speaker: Speaker, url: str, tmp_path: Path) -> None:
    speaker.fewer = True
    done = draw(url, tmp_path / "a.parquet")
    assert done.rows == 12
    assert len(speaker.seen) == 12
    assert sorted(row["sample"] for row in rows(tmp_path / "a.parquet")) == sorted([*range(6)] * 2)


def test_log_probabilities_are_given_up_where_refused(speaker: Speaker, url: str, tmp_path: Path) -> None:
    speaker.always = "no logprobs"
    done = draw(url, tmp_path / "a.parquet", concurrency=1)
    assert (done.rows, len(done.failures)) == (12, 1)
    assert all("logprobs" not in body for _, _, body in speaker.seen[1:])


def test_concurrency_and_rate(speaker: Speaker, url: str, tmp_path: Path) -> None:
    speaker.pause = 0.15
    draw(url, tmp_path / "a.parquet", concurrency=4)
    assert 2 <= speaker.most_busy <= 4
    speaker.pause, speaker.most_busy = 0.0, 0
    speaker.seen.clear()
    draw(url, tmp_path / "b.parquet", rate=20.0)
    times = sorted(moment for moment, _, _ in speaker.seen)
    assert times[-1] - times[0] >= 0.9 * 3 / 20  # four requests


def test_the_key_is_sent_and_shown_nowhere(
    speaker: Speaker, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speaker.key = "a secret"
    out = tmp_path / "a.parquet"
    monkeypatch.setenv("CRYSTAL_API_KEY", "another secret")
    with pytest.raises(ServerError, match="HTTP 401") as caught:
        draw(url, out)
    assert "wrong key Bearer [key]" in str(caught.value)
    monkeypatch.setenv("MY_KEY", "a secret")
    speaker.faults.extend(["500"])
    done = draw(url, out, key_env="MY_KEY")
    assert done.rows == 12
    (failure,) = done.failures
    assert "key Bearer [key]" in failure.reason
    assert b"secret" not in out.read_bytes()


def test_addresses_that_are_none(tmp_path: Path) -> None:
    for bad in (
        "localhost:8000",
        "ftp://a/v1",
        "http://",
        "http://user:word@host/v1",
        "http://h/v1?key=word",
    ):
        with pytest.raises(SettingsError) as caught:
            draw(bad, tmp_path / "a.parquet")
        assert "word" not in str(caught.value)
    for name, value in (("concurrency", 0), ("choices", 0), ("retries", -1), ("rate", 0.0), ("timeout", 0)):
        with pytest.raises(SettingsError, match=name):
            draw("http://127.0.0.1:9/v1", tmp_path / "a.parquet", **{name: value})


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ServerError, match="no answer after 3 attempts: no connection"):
        draw(f"http://127.0.0.1:{port}/v1", tmp_path / "a.parquet", retries=2, on_error="collect")


def test_exact_by_echoes(tmp_path: Path) -> None:
    network, tokenizer = make_network(), make_tokenizer(None)
    speaker = Speaker(network, tokenizer)
    out, local = tmp_path / "a.parquet", tmp_path / "b.parquet"
    with serving(speaker) as url:
        done = draw(url, out, exact=True, tasks=suite(OPTIONS))
        assert (done.rows, done.units) == (20, 2)
        with pytest.raises(SettingsError, match="chat interface gives no probabilities"):
            draw(url, tmp_path / "c.parquet", exact=True, checkpoint="l/sft/1")
        with pytest.raises(SettingsError, match="temperature 1"):
            draw(url, tmp_path / "c.parquet", exact=True, temperature=0.5)
        speaker.echo = "bos"
        draw(url, tmp_path / "d.parquet", exact=True, tasks=suite(OPTIONS))
        assert rows(tmp_path / "d.parquet") == rows(out)
        for speaker.echo, speaker.always in (("none", None), ("silent", None), ("plain", "no echo")):
            with pytest.raises(ServerError, match="does not echo prompts"):
                draw(url, tmp_path / "c.parquet", exact=True, on_error="collect")
    crystal.sample(network, suite(OPTIONS), local, tokenizer=tokenizer, checkpoint="l/base/3", exact=True)
    found = [row["probability"] for row in rows(out)]
    np.testing.assert_allclose(found, [row["probability"] for row in rows(local)], rtol=2e-4, atol=1e-6)
    theirs = brute_force(Tiny(tmp_path, network, tokenizer), "flip 0\nanswer:", OPTIONS)
    np.testing.assert_allclose(found[: len(OPTIONS)], list(theirs.values()), rtol=2e-4, atol=1e-7)


CLIENT = "from crystal.cli.main import run; run()"


def start_server(folder: Path) -> tuple[subprocess.Popen[str], str]:
    words = [sys.executable, "-m", "tests.sampling.openai_server", str(folder), "0", "0.05"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def until(parts: Path, count: int, process: subprocess.Popen[Any]) -> None:
    for _ in range(4000):
        if len(list(parts.glob("*.arrow"))) >= count:
            return
        assert process.poll() is None, "it ended before it could be killed"
        time.sleep(0.01)
    pytest.fail("no part was written")


def test_server_and_client_are_killed_midway(tiny: Tiny, tmp_path: Path) -> None:
    """SIGKILL to the client, then to the server: nothing is lost, nothing there twice."""
    tasks = tmp_path / "tasks.toml"
    wordings = "".join(
        f'[[task.prompts]]\nid = "p{i}"\nfamily = "verb"\ncompletion = "flip {i}:"\nchat = "flip {i}"\n'
        for i in range(6)
    )
    tasks.write_text(f'[[task]]\nid = "coin"\noptions = ["heads", "tails"]\n{wordings}')
    server, url = start_server(tiny.path)
    out = tmp_path / "a.parquet"
    parts = tmp_path / "a.parquet.parts"
    words = ["crystal", "sample", "--server", url, "--model", "tiny", "--checkpoint", "l/base/0", "--quiet",
             "--tasks", tasks, "--samples", "12", "--choices", "2", "--max-tokens", "3", "--concurrency", "2",
             "--retries", "1", "--debug"]  # fmt: skip

    def client(target: Path) -> subprocess.Popen[bytes]:
        given = [str(word) for word in [*words, "--out", target]]
        code = f"import sys; sys.argv = {given!r}\n{CLIENT}"
        return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)

    try:
        first = client(out)
        until(parts, 5, first)
        first.send_signal(signal.SIGKILL)
        first.communicate()
        assert first.returncode == -signal.SIGKILL
        assert not out.exists()
        done = {path.name: path.read_bytes() for path in parts.glob("*.arrow")}
        assert 5 <= len(done) < 36

        second = client(out)
        until(parts, len(done) + 5, second)
        server.send_signal(signal.SIGKILL)
        server.wait()
        _, said = second.communicate(timeout=60)
        assert second.returncode == 3, said
        assert b"the same command goes on from there" in said
        assert not out.exists()
        later = {path.name: path.read_bytes() for path in parts.glob("*.arrow")}
        assert len(done) + 5 <= len(later) < 36
        assert {name: later[name] for name in done} == done  # what was there is as it was

    finally:
        server.kill()
        server.wait()
        assert server.stdout is not None
        server.stdout.close()
    speaker = Speaker(tiny.network, tiny.tokenizer)
    asked: dict[str, Any] = {"tasks": tasks, "samples": 12, "choices": 2, "checkpoint": "l/base/0"}
    with serving(speaker, int(url.rsplit(":", 1)[1].split("/")[0])) as again:
        assert again == url
        third = draw(url, out, **asked)
        assert (third.resumed, len(speaker.seen)) == (len(later), 36 - len(later))
        assert not parts.exists()
        draw(url, tmp_path / "whole.parquet", **asked)
    found = rows(out)
    assert [(row["prompt"], row["sample"]) for row in found] == [
        (f"p{i}", sample) for i in range(6) for sample in range(12)
    ]
    assert found == rows(tmp_path / "whole.parquet")


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_stops_what_waits(
    speaker: Speaker, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while requests pause for minutes: the run ends at once, and keeps what is done."""
    monkeypatch.setattr(http_client, "_FIRST_PAUSE", 40.0)
    speaker.faults.extend(["500"] * 2)
    out = tmp_path / "a.parquet"

    def interrupt(_what: str, done: int, _total: int | None) -> None:
        if done == 2:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.5)

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        draw(url, out, progress=interrupt)
    assert time.monotonic() - started < 20
    assert not out.exists()
    assert len(list((tmp_path / "a.parquet.parts").glob("*.arrow"))) == 2
    assert draw(url, out).resumed == 2


def test_nothing_is_read_without_end(
    speaker: Speaker, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MOST_BYTES", 100)
    with pytest.raises(InputError, match="more than 0 MiB"):
        draw(url, tmp_path / "a.parquet")
