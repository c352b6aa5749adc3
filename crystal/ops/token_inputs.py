"""Checks what comes into the token kernels, before any work: kind, shape, layout, dtype, device, ids."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels import token_fields as fields

IGNORED_ID = -100
Kind = Literal["torch", "numpy"]
_FLOATS = ("float32", "float16", "bfloat16")


class LayoutError(SettingsError):
    """Logits whose vocabulary is not contiguous: the kernels never copy logits, so the caller has to."""


@dataclass(frozen=True, slots=True)
class TokenInput:
    """Checked arguments: logits and ids in one library, and what is needed to give results the same shape."""

    kind: Kind
    logits: Any
    tokens: Any
    shape: tuple[int, ...]
    dtype: str
    on_gpu: bool

    @property
    def vocabulary(self) -> int:
        """Number of columns."""
        return int(self.logits.shape[-1])


def has_module(name: str) -> bool:
    """Tell whether an optional package is there, without loading it."""
    return name in sys.modules or importlib.util.find_spec(name) is not None


def need_torch(why: str) -> Any:
    """Return the module torch.

    Raises
    ------
    SettingsError
        If torch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise SettingsError(
            why, where="torch", fix="install torch in the build that fits the machine"
        ) from error
    return torch


def is_torch(value: Any) -> bool:
    """Tell whether a value is a torch tensor, without loading torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def to_array(value: Any, where: str) -> tuple[Kind, Any]:
    """Return a tensor or array as it is, and anything with DLPack as a view of it in torch, else in NumPy."""
    if is_torch(value):
        return "torch", value.detach()
    if isinstance(value, np.ndarray):
        return "numpy", value
    if hasattr(value, "__dlpack__"):
        if has_module("torch"):
            return "torch", need_torch("DLPack needs it").from_dlpack(value)
        return "numpy", np.from_dlpack(value)
    raise SettingsError(
        "not an array",
        where=where,
        expected="a torch tensor, a NumPy array or an object with DLPack",
        got=type(value).__name__,
    )


def check_temperature(temperature: float) -> float:
    """Return the temperature as a float, if it is inside the range the kernels are proven for."""
    low, high = fields.MIN_TEMPERATURE, fields.MAX_TEMPERATURE
    value = float(temperature)
    if not low <= value <= high:
        raise SettingsError(
            "out of range", where="temperature", expected=f"{low:g} to {high:g}", got=repr(temperature)
        )
    return value


def dtype_name(kind: Kind, logits: Any, dtype: str | None, where: str = "logits") -> str:
    """Return the name of a dtype that the kernels read, "bfloat16" for its bits in uint16."""
    name = str(logits.dtype).removeprefix("torch.")
    if kind == "numpy" and name == "uint16" and dtype == "bfloat16":
        return "bfloat16"
    if dtype is not None and dtype != name:
        raise SettingsError(
            "does not describe the logits", where="dtype", expected=f"None or {name!r}", got=repr(dtype)
        )
    if name not in (*_FLOATS, "float64"):
        fix = 'pass dtype="bfloat16" if these are the bits of bfloat16' if name == "uint16" else None
        raise SettingsError(
            "wrong dtype of logits", where=where, expected=", ".join(_FLOATS), got=name, fix=fix
        )
    return name


def check(
    logits: Any,
    tokens: Any,
    *,
    ignored_id: int = IGNORED_ID,
    dtype: str | None = None,
    first_id: int | None = None,
    where: str = "logits",
) -> TokenInput:
    """Check logits and token ids and return them in one library.

    Parameters
    ----------
    logits : array
        [tokens, vocabulary] or [batch, time, vocabulary], stride 1 along the vocabulary.
    tokens : array
        Integer ids of the leading shape.
    ignored_id : int
        An id that is allowed outside the vocabulary.
    dtype : str, optional
        "bfloat16" where a NumPy array of uint16 holds its bits.
    first_id : int, optional
        Where given, the logits are one part of a vocabulary and ids may lie outside it, but not below zero.
    where : str
        The argument that errors name.

    Raises
    ------
    SettingsError
        On a wrong kind, shape, dtype, device or id.
    LayoutError
        If the vocabulary has another stride than 1.
    """
    kind, logits = to_array(logits, where)
    name = dtype_name(kind, logits, dtype, where)
    shape = tuple(int(n) for n in logits.shape)
    if len(shape) not in (2, 3) or shape[-1] == 0 or shape[-1] > fields.MAX_VOCABULARY:
        raise SettingsError(
            "wrong shape",
            where=where,
            expected=f"[tokens, vocabulary] or [batch, time, vocabulary], 1 to {fields.MAX_VOCABULARY} ids",
            got=str(list(shape)),
        )
    stride = logits.stride(-1) if kind == "torch" else logits.strides[-1] // logits.itemsize
    if shape[-1] > 1 and 0 not in shape and stride != 1:
        raise LayoutError(
            "the vocabulary is not contiguous",
            where=where,
            expected="stride 1 along the last axis",
            got=f"stride {stride}",
            fix="put the vocabulary last and make it contiguous, or slice other axes only",
        )
    if kind == "numpy" and any(s % logits.itemsize for s in logits.strides):
        raise LayoutError("strides that cut through an element", where=where, got=str(logits.strides))
    ids = tokens_like(kind, logits, tokens)
    if tuple(ids.shape) != shape[:-1]:
        raise SettingsError(
            "wrong shape", where="tokens", expected=str(list(shape[:-1])), got=str(list(ids.shape))
        )
    check_ids(ids, ignored_id, shape[-1] if first_id is None else None)
    on_gpu = kind == "torch" and logits.device.type != "cpu"
    return TokenInput(kind, logits, ids, shape[:-1], name, on_gpu)


def tokens_like(kind: Kind, logits: Any, tokens: Any) -> Any:
    """Return ids as contiguous int64 in the library of the logits; small, so a copy does not matter."""
    if isinstance(tokens, list | tuple):
        tokens = np.asarray(tokens)
        if tokens.size == 0:
            tokens = tokens.astype(np.int64)
    library, ids = to_array(tokens, "tokens")
    name = str(ids.dtype).removeprefix("torch.")
    if not name.startswith(("int", "uint")):
        raise SettingsError("wrong dtype of ids", where="tokens", expected="integers", got=name)
    if kind == "numpy":
        if library == "torch":
            ids = ids.cpu().numpy()
        return np.ascontiguousarray(ids, dtype=np.int64)
    torch = need_torch("the logits are a torch tensor")
    if library == "numpy":
        return torch.from_numpy(np.ascontiguousarray(ids, dtype=np.int64)).to(logits.device)
    if ids.device != logits.device:
        raise SettingsError(
            "another device than the logits", where="tokens", expected=str(logits.device), got=str(ids.device)
        )
    return ids.to(torch.int64).contiguous()


def check_ids(ids: Any, ignored_id: int, vocabulary: int | None) -> None:
    """Refuse ids below zero or, where a vocabulary is given, outside it."""
    bad = ids < 0
    if vocabulary is not None:
        bad = bad | (ids >= vocabulary)
    bad = bad & (ids != ignored_id)
    if bool(bad.any()):
        flat = bad.reshape(-1)
        position = int((flat * 1).argmax())
        raise SettingsError(
            "an id outside the vocabulary",
            where=f"tokens, position {position}",
            expected=f"0 to {vocabulary - 1}, or {ignored_id} to ignore it" if vocabulary else "0 or above",
            got=str(int(ids.reshape(-1)[position])),
        )
