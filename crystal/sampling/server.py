"""Draws and exact distributions from a server that speaks OpenAI's interface: vLLM, SGLang, llama.cpp, ..."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from crystal.errors import ServerError, SettingsError
from crystal.ops.resampling import stream_key
from crystal.sampling.forms import Path, by_path, forms, of_options
from crystal.sampling.http_client import HttpClient, UnansweredError
from crystal.sampling.local import Decoding
from crystal.sampling.plan import Drawn, Unit

RENDERINGS = ("auto", "chat", "completion")
_AT_ONCE = 32
"""Prompts of one request that scores options."""


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server, for :func:`crystal.sample`.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:8000/v1``.
    model : str
        The model's name on the server.
    key_env : str
        Environment variable with the API key, if the server wants one. The key is read when the run starts,
        sent as a bearer token, and never written or shown.
    concurrency : int
        Requests at one time.
    choices : int
        Samples of one request (``n``). A server that gives fewer is asked again.
    rate : float, optional
        Most requests a second.
    retries : int
        Further attempts where a request fails, with pauses that double (0.5 to 60 s) and are never shorter
        than the server's ``Retry-After``.
    timeout : float
        Seconds that a request may take.
    logprobs : bool
        Ask for the log-probabilities of the tokens. Given up by itself if the server refuses them.
    extra : mapping
        Further members of each request, such as ``{"return_token_ids": True}`` for vLLM.
    """

    url: str
    model: str
    key_env: str = "CRYSTAL_API_KEY"
    concurrency: int = 8
    choices: int = 16
    rate: float | None = None
    retries: int = 5
    timeout: float = 120.0
    logprobs: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Raise SettingsError where a setting is out of range."""
        for name in ("concurrency", "choices", "timeout"):
            if getattr(self, name) <= 0:
                raise SettingsError("must be positive", where=name, got=str(getattr(self, name)))
        if self.retries < 0 or (self.rate is not None and self.rate <= 0):
            raise SettingsError("must be positive", where="retries" if self.retries < 0 else "rate")


class Remote:
    """A server as a source of samples."""

    def __init__(self, server: Server, rendering: str, decoding: Decoding, seed: int) -> None:
        server.check()
        if rendering not in RENDERINGS:
            raise SettingsError(
                "unknown rendering", where="rendering", expected=", ".join(RENDERINGS), got=repr(rendering)
            )
        self.server, self.decoding, self.seed = server, decoding, seed
        self.rendering = "completion" if rendering == "completion" else "chat"
        self.client = HttpClient(
            server.url, os.environ.get(server.key_env), server.timeout, server.retries, server.rate
        )
        self.name, self.parallel = f"{self.client.url} {server.model}", server.concurrency
        self._logprobs = server.logprobs

    def settings(self) -> dict[str, str]:
        """Return what else than the units decides the result."""
        extra = repr(sorted(self.server.extra.items()))
        return {"model": self.server.model, "server": self.client.url, "rendering": self.rendering} | (
            {"extra": extra} if self.server.extra else {}
        )

    def draw(self, unit: Unit, note: Callable[[str], None]) -> list[Drawn]:
        """Return the unit's samples, from as many requests as the server needs for them."""
        samples: list[Drawn] = []
        while len(samples) < unit.count:
            samples += self._draw(unit, unit.first + len(samples), unit.count - len(samples), note)
        return samples[: unit.count]

    def _draw(self, unit: Unit, first: int, count: int, note: Callable[[str], None]) -> list[Drawn]:
        decoding = self.decoding
        key = stream_key("request", self.seed, unit.task.id, unit.wording.family, unit.wording.id, first)
        body: dict[str, Any] = {
            "model": self.server.model,
            "n": count,
            "max_tokens": decoding.max_tokens,
            "temperature": decoding.temperature,
            "top_p": decoding.top_p,
            "seed": key >> 33,  # 31 bits: some servers take no more
        }
        if decoding.top_k:  # no member of OpenAI's own interface
            body["top_k"] = decoding.top_k
        chat = self.rendering == "chat"
        if chat:
            body["messages"] = [{"role": "user", "content": unit.wording.chat}]
        else:
            body["prompt"] = unit.wording.completion
        wanted = self._logprobs
        if wanted:
            body["logprobs"] = True if chat else 1
        path, read = ("/chat/completions", _chat_choices) if chat else ("/completions", _choices)
        try:
            found: list[Drawn] = self.client.post(path, body | dict(self.server.extra), read, note)
        except UnansweredError as error:
            if not wanted or "logprob" not in str(error).lower():
                raise
            self._logprobs = False
            return []
        return found

    def distribution(self, unit: Unit, note: Callable[[str], None]) -> dict[str, float]:
        """Return the probability of each option, from prompts that the server echoes with log-probabilities.

        Raises
        ------
        SettingsError
            If the rendering is chat, for which the interface has no such thing.
        ServerError
            If the server does not echo, gives no log-probabilities, or has a token across the border of
            prompt and option.
        """
        prompt = unit.wording.completion
        texts = list(forms(unit.task, prompt).items())
        ways: list[tuple[Path, str]] = []
        logprobs: dict[Path, float] = {}
        where = f"{self.name}, {unit}"
        for start in range(0, len(texts), _AT_ONCE):
            some = texts[start : start + _AT_ONCE]
            body = {
                "model": self.server.model,
                "prompt": [prompt + text for text, _ in some],
                "max_tokens": 1,  # some servers refuse 0; what is written behind the option is not looked at
                "temperature": 1.0,
                "echo": True,
                "logprobs": 1,
                "seed": 0,
            }
            try:
                echoes = self.client.post(
                    "/completions", body | dict(self.server.extra), partial(_echoes, len(some)), note
                )
            except UnansweredError as error:
                if "echo" in str(error).lower():
                    raise _no_echo(where) from error
                raise
            for (text, option), echo in zip(some, echoes, strict=True):
                path, logprob = _behind(echo, prompt, text, where)
                ways.append((path, option))
                logprobs[path] = logprob
        return of_options(unit.task.options, by_path(ways, where), logprobs, where)


def check_exact(rendering: str, decoding: Decoding) -> None:
    """Raise SettingsError where a server cannot score options: the interface has nothing for it."""
    if rendering != "completion":
        raise SettingsError(
            "a chat interface gives no probabilities of given replies",
            where="exact",
            fix="use rendering='completion' (--rendering completion) with a server that echoes prompts, "
            "give the model's folder instead of a server, or draw samples",
        )
    if decoding.temperature != 1:
        raise SettingsError(
            "a server's probabilities are those of temperature 1",
            where="temperature",
            got=repr(decoding.temperature),
        )


def _choices(answer: Any) -> list[Drawn]:
    found = []
    for choice in _list(answer["choices"]):
        given = choice.get("logprobs") or {}
        found.append(_drawn(choice["text"], choice.get("token_ids"), given.get("token_logprobs")))
    return found


def _chat_choices(answer: Any) -> list[Drawn]:
    found = []
    for choice in _list(answer["choices"]):
        content = (choice.get("logprobs") or {}).get("content")
        logprobs = None if content is None else [token["logprob"] for token in content]
        # A reply that is all thought, or a refusal, has no content: an empty text, an invalid answer.
        found.append(_drawn(choice["message"]["content"] or "", choice.get("token_ids"), logprobs))
    return found


def _drawn(text: Any, tokens: Any, logprobs: Any) -> Drawn:
    if not isinstance(text, str):
        raise TypeError("a text that is none")
    ids = None if tokens is None else [int(token) for token in tokens]
    numbers = None if logprobs is None else [float("nan") if x is None else float(x) for x in logprobs]
    if ids is not None and numbers is not None and len(ids) != len(numbers):
        raise ValueError(f"{len(ids)} tokens and {len(numbers)} log-probabilities")
    return Drawn(text, ids, numbers)


def _list(choices: Any) -> list[Any]:
    if not isinstance(choices, list) or not choices:
        raise ValueError("no choices")
    return choices


def _echoes(count: int, answer: Any) -> list[Any]:
    choices = _list(answer["choices"])
    if len(choices) != count:
        raise ValueError(f"{len(choices)} choices for {count} prompts")
    return sorted(choices, key=lambda choice: int(choice["index"]))


def _behind(choice: Any, prompt: str, text: str, where: str) -> tuple[Path, float]:
    """Return the tokens of the option behind an echoed prompt, and the sum of their log-probabilities."""
    given = choice.get("logprobs") or {}
    tokens, numbers = given.get("tokens") or [], given.get("token_logprobs") or []
    starts = _starts(tokens, given.get("text_offset"), prompt + text)
    if starts is None or len(numbers) != len(tokens):
        raise _no_echo(where)
    begin, end = len(prompt), len(prompt) + len(text)
    inside = [i for i, start in enumerate(starts) if begin <= start < end]
    if not inside or starts[inside[0]] != begin:
        raise ServerError(
            "a token of the server's reaches over the border between the prompt and an option",
            where=where,
            got=repr(text),
            fix="change the end of the wording, or give the model's folder instead of a server",
        )
    if any(not isinstance(numbers[i], int | float) for i in inside):
        raise _no_echo(where)
    return tuple(tokens[i] for i in inside), float(sum(numbers[i] for i in inside))


def _starts(tokens: Sequence[str], offsets: Any, whole: str) -> list[int] | None:
    """Return where in the whole text each token starts; None if the tokens are not those of the text.

    The texts of the tokens say it, whatever stands before the prompt (a beginning-of-text token, which some
    servers count in their offsets). Offsets are taken where the texts do not add up, as with bytes.
    """
    place = "".join(tokens).find(whole)
    if place >= 0:
        return [start - place for start in itertools.accumulate(map(len, tokens[:-1]), initial=0)]
    usable = isinstance(offsets, list) and len(offsets) == len(tokens) > 0 and min(offsets) >= 0
    return offsets if usable and max(offsets) >= len(whole) - len(tokens[-1]) else None


def _no_echo(where: str) -> ServerError:
    return ServerError(
        "the server does not echo prompts with log-probabilities, so it cannot score options",
        where=where,
        fix="give the model's folder instead of a server, or draw samples",
    )
