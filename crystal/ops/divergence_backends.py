"""Runs the divergence of two rows on the backend that serves them, and checks the pair before any work."""

from __future__ import annotations

from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels.divergence_sums import given_levels, levels_of
from crystal.ops import token_backends, token_inputs
from crystal.ops.core import load
from crystal.ops.token_inputs import TokenInput


def check_pair(
    p_logits: Any,
    q_logits: Any,
    tokens: Any,
    *,
    ignored_id: int,
    dtype: str | None,
    first_id: int | None = None,
) -> tuple[TokenInput, TokenInput]:
    """Check both sides as one would be, and that they are alike in kind, shape, dtype and device.

    Without tokens every row has the id 0, which is in every vocabulary.
    """
    if tokens is None:
        tokens = np.zeros(tuple(getattr(p_logits, "shape", ()))[:-1], np.int64)
    p = token_inputs.check(
        p_logits, tokens, ignored_id=ignored_id, dtype=dtype, first_id=first_id, where="p_logits"
    )
    q = token_inputs.check(
        q_logits, p.tokens, ignored_id=ignored_id, dtype=dtype, first_id=first_id, where="q_logits"
    )
    for name, ours, theirs in (
        ("kind", p.kind, q.kind),
        ("dtype", p.dtype, q.dtype),
        ("vocabulary", p.vocabulary, q.vocabulary),
        ("device", str(getattr(p.logits, "device", "")), str(getattr(q.logits, "device", ""))),
    ):
        if ours != theirs:
            raise SettingsError(
                f"another {name} than p_logits", where="q_logits", expected=str(ours), got=str(theirs)
            )
    return p, q


def sums(
    p: TokenInput,
    q: TokenInput,
    temperature: float,
    backend: str,
    *,
    ignored_id: int,
    first_id: int = 0,
    logsumexp: tuple[Any, Any] | None = None,
    threads: int = 0,
    path: str = "best",
) -> tuple[Any, Any, Any]:
    """Return sums [11, tokens], levels [2, tokens] and status [tokens] in the library of the input.

    Where `logsumexp` of both sides is given, float64 [tokens] in that library, the rows are a part of a
    vocabulary and are read once.
    """
    xp = token_backends.array_library(p)
    ids = p.tokens.reshape(-1)
    given = None if logsumexp is None else given_levels(xp, *logsumexp, ids == ignored_id, temperature)
    if backend == "cpu":
        levels, status = (None, None) if given is None else (_numpy(given[0]), _numpy(given[1]))
        found = load().token_divergence(
            token_backends.as_numpy(p),
            token_backends.as_numpy(q),
            p.dtype,
            token_backends.ids_of(p),
            levels,
            status,
            temperature,
            ignored_id,
            first_id,
            threads,
            path,
        )
        total, both, marks = (token_backends.like(p, array) for array in found)
        return total, both, marks
    torch = token_inputs.need_torch("this backend computes with torch")
    (x, tokens), (y, _) = token_backends.as_torch(p), token_backends.as_torch(q)
    if given is None:
        sides = [
            token_backends.state(side, temperature, backend, level="core", ignored_id=ignored_id)
            for side in (p, q)
        ]
        given = levels_of(xp, *sides, temperature)
    levels, status = (torch.as_tensor(array) for array in given)
    if backend == "triton":
        from crystal.kernels.divergence_launch import launch_sums

        total = launch_sums(x, y, tokens, levels, status, temperature, first_id=first_id)
    else:
        from crystal.kernels.divergence_reference import reference_sums

        precision = torch.float64 if p.dtype == "float64" else torch.float32
        total = reference_sums(x, y, tokens, levels, temperature, first_id=first_id, dtype=precision)
    if p.kind == "numpy":
        return total.numpy(), levels.numpy(), status.numpy()
    return total, levels, status


def logsumexp_of(value: Any, given: TokenInput, where: str) -> Any:
    """Return logsumexp of whole rows as float64 [tokens] in the library and on the device of the logits."""
    kind, array = token_inputs.to_array(value, where)
    name = str(array.dtype).removeprefix("torch.")
    if not name.startswith("float") or tuple(array.shape) != given.shape:
        raise SettingsError(
            "does not fit the logits",
            where=where,
            expected=f"floats of shape {list(given.shape)}",
            got=f"{name} of shape {list(array.shape)}",
        )
    if given.kind == "numpy":
        array = array.cpu().numpy() if kind == "torch" else array
        return np.ascontiguousarray(array.reshape(-1), dtype=np.float64)
    torch = token_inputs.need_torch("the logits are a torch tensor")
    return torch.as_tensor(array, dtype=torch.float64, device=given.logits.device).reshape(-1)


def _numpy(array: Any) -> Any:
    return np.ascontiguousarray(array.numpy() if token_inputs.is_torch(array) else array)
