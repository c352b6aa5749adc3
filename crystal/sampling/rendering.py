"""From a prompt and a reply to the token ids that a model reads: chat template or plain continuation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from crystal.errors import InputError, SettingsError
from crystal.tasks.task import TaskSuite

RENDERINGS = ("auto", "chat", "completion")
_REMEMBERED = 1 << 14


class Request(NamedTuple):
    """One sample to score."""

    task: str
    family: str
    prompt: str
    text: str | None
    tokens: list[int] | None
    """Taken where there is no text."""


class Tokens(NamedTuple):
    """What the model reads, and what of it is scored."""

    context: list[int]
    reply: list[int]


class Renderer:
    """Writes prompts as a model is to see them.

    Parameters
    ----------
    tokenizer : transformers.PreTrainedTokenizerBase
        A fast one or a slow one.
    rendering : str
        ``"chat"``: the prompt is a user's turn in the tokenizer's chat template. ``"completion"``: the reply
        continues the prompt. ``"auto"``: chat where the tokenizer has a template, else completion.
    tasks : TaskSuite
        Bound tasks: a prompt that is the id of one of their wordings stands for its text.

    Raises
    ------
    SettingsError
        If the rendering is unknown, or chat is asked for and the tokenizer has no template.
    """

    def __init__(self, tokenizer: Any, rendering: str, tasks: TaskSuite) -> None:
        if rendering not in RENDERINGS:
            raise SettingsError(
                "unknown rendering", where="rendering", expected=", ".join(RENDERINGS), got=repr(rendering)
            )
        templated = bool(getattr(tokenizer, "chat_template", None))
        if rendering == "chat" and not templated:
            raise SettingsError(
                "the tokenizer has no chat template",
                where="rendering",
                fix="use rendering='completion' (--rendering completion)",
            )
        self.tokenizer = tokenizer
        self.chat = templated if rendering == "auto" else rendering == "chat"
        self._wordings = {
            (task.id, wording.family, wording.id): wording.chat if self.chat else wording.completion
            for task in tasks.tasks.values()
            for wording in task.prompts
        }
        self._prefix: list[int] = [] if self.chat else self._special_prefix()
        self._known: dict[str, list[int]] = {}

    @property
    def name(self) -> str:
        """``"chat"`` or ``"completion"``: what goes into the column ``rendering``."""
        return "chat" if self.chat else "completion"

    def digest(self) -> str:
        """Return a digest of the wordings that prompt ids stand for; empty where there are none."""
        if not self._wordings:
            return ""
        return hashlib.sha256(repr(sorted(self._wordings.items())).encode()).hexdigest()[:16]

    def prompt_text(self, request: Request) -> str:
        """Return what stands before the reply."""
        prompt = self._wordings.get((request.task, request.family, request.prompt), request.prompt)
        if not self.chat:
            return prompt
        turn = [{"role": "user", "content": prompt}]
        try:
            text: str = self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a template is a program, and fails as its writer liked
            raise InputError(
                f"the chat template cannot write this prompt: {error}",
                where=f"task {request.task!r}, prompt {request.prompt[:60]!r}",
                fix="use rendering='completion' (--rendering completion), or mend the template",
            ) from error
        return text

    def render(self, requests: Sequence[Request]) -> list[Tokens]:
        """Return the ids of each sample.

        The ids of a reply are those that follow the prompt's own where both are read as one text. Where a
        token would reach over the border they are those of the reply alone, as when a model wrote it.
        """
        prompts = [self.prompt_text(request) for request in requests]
        self._learn(prompts)
        written = [i for i, request in enumerate(requests) if request.text]
        whole = self._ids([prompts[i] + (requests[i].text or "") for i in written])
        alone = self._ids([requests[i].text or "" for i in written])
        replies: list[list[int]] = [request.tokens or [] for request in requests]
        for i, joint, single in zip(written, whole, alone, strict=True):
            before = self._known[prompts[i]]
            replies[i] = joint[len(before) :] if joint[: len(before)] == before else single
        return [
            Tokens(self._prefix + self._known[prompt], reply)
            for prompt, reply in zip(prompts, replies, strict=True)
        ]

    def _learn(self, prompts: Sequence[str]) -> None:
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        fresh = [prompt for prompt in dict.fromkeys(prompts) if prompt not in self._known]
        self._known.update(zip(fresh, self._ids(fresh), strict=True))

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        ids: list[list[int]] = self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return ids

    def _special_prefix(self) -> list[int]:
        """Return the ids that the tokenizer puts before every text: often one, the beginning of a text."""
        plain: list[int] = self.tokenizer("a", add_special_tokens=False)["input_ids"]
        full: list[int] = self.tokenizer("a")["input_ids"]
        for start in range(len(full) - len(plain) + 1):
            if full[start : start + len(plain)] == plain:
                return full[:start]
        return []
