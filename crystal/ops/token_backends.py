"""Runs the state of a row, and the results, on the backend that serves an input."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels import token_fields
from crystal.kernels.token_merge import finish
from crystal.ops.core import load
from crystal.ops.token_inputs import TokenInput, has_module, need_torch

Backend = Literal["auto", "triton", "cpu", "torch"]
BACKENDS = ("auto", "triton", "cpu", "torch")


def choose(given: TokenInput, backend: str) -> str:
    """Return the backend that serves an input; a SettingsError says why the named one cannot."""
    if backend not in BACKENDS:
        raise SettingsError("unknown", where="backend", expected=", ".join(BACKENDS), got=repr(backend))
    if backend == "auto":
        if given.dtype == "float64":
            return "torch"
        if not given.on_gpu:
            return "cpu"
        return "triton" if has_module("triton") else "torch"
    if backend in ("triton", "cpu") and given.dtype == "float64":
        raise SettingsError(f"{backend} does not read float64", where="logits", fix='use backend="torch"')
    if backend == "cpu" and given.on_gpu:
        raise SettingsError("the logits are not in CPU memory", where="backend", fix='use backend="auto"')
    if backend == "triton":
        if not has_module("triton"):
            raise SettingsError("triton is not installed", where="backend", fix='use backend="auto"')
        from crystal.kernels import token_launch

        if not given.on_gpu and not token_launch.INTERPRETED:
            raise SettingsError(
                "the Triton kernels read a GPU's memory",
                where="backend",
                expected="logits on a GPU",
                got="logits on the CPU",
                fix='use backend="auto", or set TRITON_INTERPRET=1 before the first call to test the kernels',
            )
    return backend


def level_for(wanted: tuple[str, ...]) -> str:
    """Return the cheapest level that computes all wanted results."""
    for name, held in token_fields.LEVELS.items():
        if set(wanted) <= set(held):
            return str(name)
    return "all"


def array_library(given: TokenInput) -> Any:
    """Return the module, numpy or torch, whose arrays results are given in."""
    return np if given.kind == "numpy" else need_torch("the logits are a torch tensor")


def state(
    given: TokenInput,
    temperature: float,
    backend: str,
    *,
    level: str,
    ignored_id: int,
    first_id: int = 0,
    chosen: Any = None,
    threads: int = 0,
) -> tuple[Any, Any]:
    """Return the state of each row in the library of the input: floats [8, tokens], counts [4, tokens]."""
    if backend == "cpu":
        logits = as_numpy(given)
        floats, counts = load().token_state(
            logits,
            given.dtype,
            ids_of(given),
            chosen,
            [temperature],
            level,
            ignored_id,
            first_id,
            threads,
            "best",
        )
        return like(given, floats[:, 0]), like(given, counts[:, 0])
    torch = need_torch("this backend computes with torch")
    logits, tokens = as_torch(given)
    known = None if chosen is None else torch.as_tensor(chosen, device=logits.device)
    if backend == "triton":
        from crystal.kernels.token_launch import launch_state, whole_state

        floats, counts = launch_state(
            logits, tokens, temperature, level=level, ignored_id=ignored_id, first_id=first_id, chosen=known
        )
        floats, counts = whole_state(floats, counts, temperature)
    else:
        from crystal.kernels.token_reference import reference_state

        dtype = torch.float64 if given.dtype == "float64" else torch.float32
        floats, counts = reference_state(
            logits,
            tokens,
            temperature,
            ignored_id=ignored_id,
            first_id=first_id,
            chosen=known,
            dtype=dtype,
        )
    return (floats.numpy(), counts.numpy()) if given.kind == "numpy" else (floats, counts)


def results(
    given: TokenInput, temperature: float, backend: str, *, level: str, ignored_id: int, threads: int
) -> tuple[Any, Any]:
    """Return results [7, tokens] and counts [4, tokens] in the library of the input."""
    if backend != "triton":
        floats, counts = state(
            given, temperature, backend, level=level, ignored_id=ignored_id, threads=threads
        )
        floats, counts = finish(array_library(given), floats, counts, temperature)
        return floats, counts
    from crystal.kernels.token_launch import launch_stats

    logits, tokens = as_torch(given)
    floats, counts = launch_stats(logits, tokens, temperature, level=level, ignored_id=ignored_id)
    counts = counts.long()
    return (floats.numpy(), counts.numpy()) if given.kind == "numpy" else (floats, counts)


def as_numpy(given: TokenInput) -> Any:
    """Return the logits as a NumPy array over the same memory; bfloat16 as its bits."""
    if given.kind == "numpy":
        return given.logits
    logits = given.logits
    if given.dtype == "bfloat16":
        return logits.view(need_torch("the logits are a torch tensor").uint16).numpy()
    return logits.numpy()


def as_torch(given: TokenInput) -> tuple[Any, Any]:
    """Return logits and ids as torch tensors over the same memory."""
    torch = need_torch("this backend computes with torch")
    if given.kind == "torch":
        return given.logits, given.tokens
    with warnings.catch_warnings():
        # torch warns about read-only memory; nothing here writes to it.
        warnings.simplefilter("ignore")
        logits = torch.from_numpy(given.logits)
    if given.dtype == "bfloat16":
        logits = logits.view(torch.bfloat16)
    return logits, torch.from_numpy(given.tokens)


def like(given: TokenInput, array: Any) -> Any:
    """Return a NumPy array in the library of the input."""
    return array if given.kind == "numpy" else need_torch("the logits are a torch tensor").from_numpy(array)


def ids_of(given: TokenInput) -> Any:
    """Return the ids as a NumPy array."""
    return given.tokens if given.kind == "numpy" else given.tokens.numpy()
