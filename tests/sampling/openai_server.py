"""A real HTTP server on loopback that speaks OpenAI's interface over a real tiny model, and fails on demand.

As a program: ``python -m tests.sampling.openai_server FOLDER PORT PAUSE`` serves the model of a folder and
prints its address, so that a test can kill it.
"""

from __future__ import annotations

import collections
import contextlib
import json
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np


class Speaker:
    """A model, and what goes wrong with it."""

    def __init__(self, network: Any, tokenizer: Any, model_name: str = "tiny") -> None:
        self.network, self.tokenizer, self.model_name = network, tokenizer, model_name
        self.faults: collections.deque[str] = collections.deque()
        """What to do with the next requests, one each: "429", "500", "garbage", "close", "slow", ..."""
        self.always: str | None = None
        self.fewer = False
        self.echo = "plain"
        """plain, bos (a token before, no offsets), silent (no log-probabilities of the prompt) or none."""
        self.key: str | None = None
        self.seen: list[tuple[float, str, dict[str, Any]]] = []
        self.pause = 0.0
        self.busy, self.most_busy = 0, 0
        self.lock = threading.Lock()

    def logits(self, ids: list[int]) -> Any:
        import torch

        with torch.no_grad():
            return self.network(input_ids=torch.tensor([ids])).logits[0].double()

    def reply(self, ids: list[int], body: dict[str, Any], generator: Any) -> tuple[list[int], list[float]]:
        tokens: list[int] = []
        logprobs: list[float] = []
        for _ in range(body["max_tokens"]):
            logits = self.logits(ids + tokens)[-1] / body["temperature"]
            p = logits.softmax(-1).numpy()
            token = int(generator.choice(len(p), p=p / p.sum()))
            if token == self.tokenizer.eos_token_id:
                break
            tokens.append(token)
            logprobs.append(float(np.log(p[token])))
        return tokens, logprobs

    def completion(self, body: dict[str, Any]) -> dict[str, Any]:
        prompts = body["prompt"] if isinstance(body["prompt"], list) else [body["prompt"]]
        choices = []
        for prompt in prompts:
            generator = np.random.default_rng([body["seed"], len(prompt)])
            ids = self.tokenizer(prompt)["input_ids"]
            for _ in range(1 if self.fewer else body.get("n", 1)):
                tokens, logprobs = self.reply(ids, body, generator)
                numbers: list[float | None] = list(logprobs)
                text, shown = self.tokenizer.decode(tokens), tokens
                if body.get("echo") and self.echo != "none":
                    table = self.logits(ids).log_softmax(-1)
                    known = [float(table[i, token]) for i, token in enumerate(ids[1:])]
                    numbers, shown, text = [None, *known, *logprobs], ids + tokens, prompt + text
                if body.get("echo") and self.echo == "silent":
                    numbers, shown = numbers[len(ids) :], shown[len(ids) :]
                parts = [self.tokenizer.decode([token]) for token in shown]
                starts = [sum(map(len, parts[:i])) for i in range(len(parts))]
                if body.get("echo") and self.echo == "bos":
                    parts, numbers = ["<s>", *parts], [None, *numbers]
                    starts = [-1] * len(parts)
                given = {"tokens": parts, "token_logprobs": numbers, "text_offset": starts}
                choices.append({"index": len(choices), "text": text, "logprobs": given})
        return {"choices": choices}

    def chat(self, body: dict[str, Any]) -> dict[str, Any]:
        text = self.tokenizer.apply_chat_template(
            body["messages"], tokenize=False, add_generation_prompt=True
        )
        plain = {**body, "prompt": text}
        found = self.completion(plain)["choices"]
        return {
            "choices": [
                {
                    "index": choice["index"],
                    "message": {"role": "assistant", "content": choice["text"]},
                    "logprobs": {
                        "content": [{"token": "", "logprob": x} for x in choice["logprobs"]["token_logprobs"]]
                    }
                    if body.get("logprobs")
                    else None,
                }
                for choice in found
            ]
        }


class Handler(BaseHTTPRequestHandler):
    speaker: Speaker

    def do_POST(self) -> None:
        speaker = self.speaker
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with speaker.lock:
            fault = speaker.faults.popleft() if speaker.faults else speaker.always
            speaker.seen.append((time.monotonic(), self.path, body))
            speaker.busy += 1
            speaker.most_busy = max(speaker.most_busy, speaker.busy)
        try:
            time.sleep(speaker.pause)
            self.answer(fault, body)
        finally:
            with speaker.lock:
                speaker.busy -= 1

    def answer(self, fault: str | None, body: dict[str, Any]) -> None:
        speaker = self.speaker
        given = self.headers.get("Authorization")
        if speaker.key is not None and given != f"Bearer {speaker.key}":
            self.send(401, {"error": f"wrong key {given}"})
        elif fault == "close":
            self.close_connection = True
        elif fault == "slow":
            time.sleep(1.0)
            self.close_connection = True
        elif fault == "garbage":
            self.send_bytes(200, b'{"choices": [')
        elif fault == "strange":
            self.send(200, {"choices": [{"no": "text"}]})
        elif fault == "cut":
            self.send_bytes(200, b'{"choices": []}', claimed=1000)
            self.close_connection = True
        elif fault == "redirect":
            self.send(307, {}, Location="http://127.0.0.1:9/v1")
        elif fault == "no echo":
            self.send(400, {"error": "Only no echo is supported"})
        elif fault is not None and "logprobs" in fault:
            if "logprobs" in body:
                self.send(400, {"error": "logprobs are not supported"})
            else:
                self.work(body)
        elif fault is not None:
            code, _, wait = fault.partition("/")
            self.send(
                int(code), {"error": f"as told; key {given}"}, **({"Retry-After": wait} if wait else {})
            )
        else:
            self.work(body)

    def work(self, body: dict[str, Any]) -> None:
        work = self.speaker.chat if self.path.endswith("/chat/completions") else self.speaker.completion
        with self.speaker.lock:
            answer = work(body)
        self.send(200, answer)

    def send(self, code: int, document: dict[str, Any], **headers: str) -> None:
        self.send_bytes(code, json.dumps(document).encode(), **headers)

    def send_bytes(self, code: int, data: bytes, claimed: int | None = None, **headers: str) -> None:
        with contextlib.suppress(OSError):
            self.send_response(code)
            self.send_header("Content-Length", str(claimed or len(data)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(data)

    def log_message(self, *_arguments: Any) -> None:
        pass


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_arguments: Any) -> None:
        pass


@contextlib.contextmanager
def serving(speaker: Speaker, port: int = 0) -> Iterator[str]:
    """Serve in threads of this process; yield the address."""
    handler = type("OneHandler", (Handler,), {"speaker": speaker})
    with _Quiet(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def main() -> None:
    import torch
    import transformers

    folder, port, pause = sys.argv[1:]
    torch.set_num_threads(1)
    speaker = Speaker(
        transformers.AutoModelForCausalLM.from_pretrained(folder),
        transformers.AutoTokenizer.from_pretrained(folder),
    )
    speaker.pause = float(pause)
    with serving(speaker, int(port)) as url:
        sys.stdout.write(url + "\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
