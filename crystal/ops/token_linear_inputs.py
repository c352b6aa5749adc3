"""Hidden states and the weight that makes logits of them: checked together, multiplied a chunk at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels import token_fields
from crystal.ops import token_inputs
from crystal.ops.token_inputs import LayoutError, TokenInput

_WEIGHT_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class LinearInput:
    """Checked arguments: hidden states [tokens, width], weight [vocabulary, width], bias, and flat ids."""

    hidden: Any
    weight: Any
    bias: Any
    given: TokenInput


def check_linear(
    hidden: Any,
    weight: Any,
    tokens: Any,
    bias: Any,
    *,
    ignored_id: int,
    dtype: str | None,
    first_id: int | None = None,
) -> LinearInput:
    """Check hidden states, weight, bias and ids, and flatten them; `first_id` marks a part."""
    kind, hidden = token_inputs.to_array(hidden, "hidden")
    other, weight = token_inputs.to_array(weight, "weight")
    name = token_inputs.dtype_name(kind, hidden, dtype)
    shape = tuple(int(n) for n in hidden.shape)
    if len(shape) not in (2, 3) or shape[-1] == 0:
        expected = "[tokens, width] or [batch, time, width]"
        raise SettingsError("wrong shape", where="hidden", expected=expected, got=str(list(shape)))
    ours, theirs = _home(kind, hidden), _home(other, weight)
    if ours != theirs:
        raise SettingsError("unlike the hidden states", where="weight", expected=str(ours), got=str(theirs))
    sizes = tuple(int(n) for n in weight.shape)
    if len(sizes) != 2 or sizes[1] != shape[-1] or not 0 < sizes[0] <= token_fields.MAX_VOCABULARY:
        expected = f"[vocabulary, {shape[-1]}], 1 to {token_fields.MAX_VOCABULARY} ids"
        raise SettingsError("wrong shape", where="weight", expected=expected, got=str(list(sizes)))
    for where, array in (("hidden", hidden), ("weight", weight)):
        stride = array.stride(-1) if kind == "torch" else array.strides[-1] // array.itemsize
        if shape[-1] > 1 and stride != 1:
            raise LayoutError(
                "the width is not contiguous", where=where, expected="stride 1 along the last axis"
            )
    if bias is not None:
        third, bias = token_inputs.to_array(bias, "bias")
        place = (third, str(getattr(bias, "device", "cpu")))
        floating = "float" in str(bias.dtype)
        if place != (ours[0], ours[1]) or tuple(bias.shape) != sizes[:1] or not floating:
            expected = f"floats [{sizes[0]}], {ours[0]} on {ours[1]}"
            raise SettingsError(
                "does not fit", where="bias", expected=expected, got=f"{bias.dtype} {list(bias.shape)}"
            )
    ids = token_inputs.tokens_like(kind, hidden, tokens)
    if tuple(ids.shape) != shape[:-1]:
        raise SettingsError(
            "wrong shape", where="tokens", expected=str(list(shape[:-1])), got=str(list(ids.shape))
        )
    token_inputs.check_ids(ids, ignored_id, sizes[0] if first_id is None else None)
    on_gpu = kind == "torch" and hidden.device.type != "cpu"
    # Everything that takes a TokenInput asks the weight for the vocabulary and the device.
    given = TokenInput(kind, weight.T, ids.reshape(-1), shape[:-1], name, on_gpu)
    return LinearInput(hidden.reshape(-1, shape[-1]), weight, bias, given)


def _home(kind: str, array: Any) -> tuple[str, str, str]:
    return kind, str(getattr(array, "device", "cpu")), str(array.dtype).removeprefix("torch.")


def multiply(block: LinearInput) -> TokenInput:
    """Multiply a chunk: float32 logits (float64 for float64) as an input of the kernels."""
    given, hidden, weight = block.given, block.hidden, block.weight
    vocabulary = weight.shape[0]
    if given.kind == "numpy":
        kind = np.float64 if given.dtype == "float64" else np.float32
        logits = np.empty((len(hidden), vocabulary), kind)
        hidden = _wide_numpy(hidden, given.dtype, kind)
        for begin, end in _pieces(weight, kind().itemsize):
            np.matmul(hidden, _wide_numpy(weight[begin:end], given.dtype, kind).T, out=logits[:, begin:end])
        if block.bias is not None:
            logits += block.bias
    else:
        logits = _product(hidden, weight)
        if block.bias is not None:
            logits += block.bias.to(logits.dtype)
    name = "float64" if given.dtype == "float64" else "float32"
    return TokenInput(given.kind, logits, given.tokens, given.shape, name, given.on_gpu)


def _product(hidden: Any, weight: Any) -> Any:
    torch = token_inputs.need_torch("the hidden states are a tensor")
    if hidden.dtype in (torch.float32, torch.float64):
        return hidden @ weight.T
    if hidden.is_cuda:
        try:
            return torch.mm(hidden, weight.T, out_dtype=torch.float32)
        except (TypeError, NotImplementedError):
            pass  # torch before 2.8
    logits = hidden.new_empty((len(hidden), len(weight)), dtype=torch.float32)
    hidden = hidden.float()
    for begin, end in _pieces(weight, 4):
        logits[:, begin:end] = hidden @ weight[begin:end].float().T
    return logits


def _pieces(weight: Any, width: int) -> Iterator[tuple[int, int]]:
    """Yield borders of pieces of the vocabulary whose weight takes 16 MiB at a width in bytes."""
    size = max(1, _WEIGHT_BYTES // (width * weight.shape[1]))
    for begin in range(0, weight.shape[0], size):
        yield begin, min(begin + size, weight.shape[0])


def _wide_numpy(array: Any, dtype: str, kind: Any) -> Any:
    if dtype == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(kind, copy=False)
