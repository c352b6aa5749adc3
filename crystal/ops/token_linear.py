"""Token statistics from hidden states: the logits hidden @ weight.T are never stored whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels import token_fields
from crystal.kernels.token_merge import finish
from crystal.ops import token_backends, token_inputs
from crystal.ops.token_backends import Backend
from crystal.ops.token_inputs import TokenInput
from crystal.ops.token_linear_inputs import LinearInput, check_linear, multiply
from crystal.ops.token_states import TokenState, chosen_logits
from crystal.ops.tokens import TokenStats, as_stats, check_metrics

_CHUNK_BYTES = 128 << 20


def linear_token_stats(
    hidden: Any,
    weight: Any,
    tokens: Any,
    *,
    bias: Any = None,
    temperature: float = 1.0,
    metrics: Sequence[str] | None = None,
    backend: Backend = "auto",
    fused: bool = False,
    chunk: int | None = None,
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> TokenStats:
    """Return the statistics of :func:`crystal.token_stats` for the logits ``hidden @ weight.T + bias``.

    Tokens go through in chunks: a matrix product with float32 output (products of 16-bit numbers are exact in
    it), then the backend's kernel for that chunk. Beyond the arguments and the results the memory is
    4 * `chunk` * vocabulary bytes (8 for float64), and on CPUs 16 MiB for a piece of a 16-bit weight in
    float32. Ignored tokens are left out of the products.

    With ``fused=True`` one Triton kernel multiplies and sums, and no logit is ever stored: memory is 48 bytes
    a token and vocabulary split, and a copy of the hidden states where some tokens are ignored. It reads the
    weight once for every 16 tokens, so it is for where memory is short, not for speed.

    Parameters
    ----------
    hidden : torch.Tensor, numpy.ndarray or an object with DLPack
        [tokens, width] or [batch, time, width]; float32, float16 or bfloat16 (float64 on "torch" only).
    weight : array
        [vocabulary, width], of the kind, device and dtype of `hidden`.
    tokens : array of integers
        Ids of shape [tokens] or [batch, time].
    bias : array, optional
        [vocabulary], floats of the kind and device of `hidden`.
    temperature, metrics, backend, ignored_id, dtype, threads
        As in :func:`crystal.token_stats`; `threads` are the kernel's, the product has those of its library.
    fused : bool
        Use the fused kernel; for backend "triton" only.
    chunk : int, optional
        Tokens in a chunk; by default as many as fit 128 MiB of logits, at least one.

    Returns
    -------
    TokenStats
        In the library of `hidden`. Logits are as good as the product: equal logits may differ in the last
        digit, and so may ranks, but a token always equals itself. On a GPU a float32 product follows torch's
        setting for TF32.

    Raises
    ------
    SettingsError
        On wrong input, before any work.

    Examples
    --------
    >>> import numpy as np
    >>> hidden, weight = np.float32([[1.0, 2.0]]), np.float32([[1, 0], [0, 1], [1, 1]])
    >>> stats = linear_token_stats(hidden, weight, [2])
    >>> print(np.round(stats.logprob, 4), stats.n_greater, stats.argmax)
    [-0.4076] [0] [2]
    """
    wanted = check_metrics(metrics)
    temperature = token_inputs.check_temperature(temperature)
    args = check_linear(hidden, weight, tokens, bias, ignored_id=ignored_id, dtype=dtype)
    name = _choose(args, backend, fused, chunk)
    level = token_backends.level_for(wanted)
    whole = _Whole(args.given)
    for index, block in _blocks(args, ignored_id, chunk, fused):
        if fused:
            state = _fused(block, temperature)
            found = finish(token_backends.array_library(args.given), *state, temperature)
        else:
            found = token_backends.results(
                multiply(block), temperature, name, level=level, ignored_id=ignored_id, threads=threads
            )
        whole.put(index, *found)
    floats, counts = whole.arrays(len(token_fields.RESULT_FLOATS), len(token_fields.RESULT_COUNTS))
    return as_stats(args.given, floats, counts, wanted)


def linear_token_state(
    hidden: Any,
    part: Any,
    tokens: Any,
    first_id: int = 0,
    *,
    bias: Any = None,
    temperature: float = 1.0,
    chosen: Any = None,
    backend: Backend = "auto",
    fused: bool = False,
    chunk: int | None = None,
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> TokenState:
    """Return the state of one part of the vocabulary, as a rank has it that holds some rows of the weight.

    Parameters
    ----------
    hidden, tokens, bias, temperature, backend, fused, chunk, ignored_id, dtype, threads
        As in :func:`linear_token_stats`; `bias` is the part's.
    part : array
        [ids, width]: the weight of the ids from `first_id` on.
    first_id : int
        The id of the first row of `part`.
    chosen : array, optional
        As in :func:`crystal.token_state`.

    Returns
    -------
    TokenState
        ``.merge(other)`` joins parts, ``.result()`` gives the statistics.

    Raises
    ------
    SettingsError
        As :func:`linear_token_stats` does; an id may lie outside the part, but not below zero.

    Examples
    --------
    >>> import numpy as np
    >>> hidden, weight = np.float32([[1.0, 2.0]]), np.float32([[1, 0], [0, 1], [1, 1]])
    >>> own = np.float32([3])
    >>> one, two = (linear_token_state(hidden, weight[i : i + 2], [2], i, chosen=own) for i in (0, 2))
    >>> print(np.round(one.merge(two).result().logprob, 4))
    [-0.4076]
    """
    temperature = token_inputs.check_temperature(temperature)
    if first_id < 0:
        raise SettingsError("below zero", where="first_id", got=str(first_id))
    args = check_linear(hidden, part, tokens, bias, ignored_id=ignored_id, dtype=dtype, first_id=first_id)
    name = _choose(args, backend, fused, chunk)
    known = None if chosen is None else chosen_logits(chosen, args.given.shape)
    whole = _Whole(args.given)
    for index, block in _blocks(args, ignored_id, chunk, fused):
        own = None if known is None else known[index]
        if fused:
            found = _fused(block, temperature, first_id, own)
        else:
            logits = multiply(block)
            if own is not None:
                _own_columns(logits, own, first_id)
            found = token_backends.state(
                logits,
                temperature,
                name,
                level="all",
                ignored_id=ignored_id,
                first_id=first_id,
                chosen=own,
                threads=threads,
            )
        whole.put(index, *found)
    floats, counts = whole.arrays(len(token_fields.STATE_FLOATS), len(token_fields.STATE_COUNTS))
    return TokenState.of_part(floats, counts, temperature, args.given.shape)


def _own_columns(logits: TokenInput, chosen: Any, first_id: int) -> None:
    """Put the tokens' logits where they belong: what a product rounds otherwise must not outrank itself."""
    local = logits.tokens - first_id
    inside = (local >= 0) & (local < logits.vocabulary)
    (rows, *_) = inside.nonzero() if logits.kind == "numpy" else (inside.nonzero()[:, 0],)
    if logits.kind == "torch":
        torch = token_inputs.need_torch("the hidden states are a tensor")
        chosen = torch.as_tensor(chosen, device=logits.logits.device)
        chosen = chosen.to(logits.logits.dtype)
    logits.logits[rows, local[rows]] = chosen[rows]


class _Whole:
    """Results of all tokens, filled chunk by chunk; what stays unfilled is ignored."""

    def __init__(self, given: TokenInput) -> None:
        self.given, self.found = given, []  # type: ignore[var-annotated]

    def put(self, index: Any, floats: Any, counts: Any) -> None:
        self.found.append((index, floats, counts))

    def arrays(self, floats: int, counts: int) -> tuple[Any, Any]:
        rows = int(np.prod(self.given.shape, dtype=np.int64))
        xp = token_backends.array_library(self.given)
        where = {} if self.given.kind == "numpy" else {"device": self.given.logits.device}
        # The state of a row that was not read: empty, with its status. Results become NaN and -1 in finish.
        out = xp.full((floats, rows), np.nan, dtype=xp.float64, **where)
        places = xp.full((counts, rows), -1, dtype=xp.int64, **where)
        places[-1] = token_fields.IGNORED
        if floats == len(token_fields.STATE_FLOATS):
            out[:2], out[2:6], out[7] = -token_fields.LARGEST, 0.0, 0.0
            places[1:3] = 0
        for index, values, numbers in self.found:
            out[:, index] = values if self.given.kind == "numpy" else values.double()
            places[:, index] = numbers
        return out, places


def _choose(args: LinearInput, backend: str, fused: bool, chunk: int | None) -> str:
    if chunk is not None and chunk < 1:
        raise SettingsError("out of range", where="chunk", expected="1 or more", got=str(chunk))
    if fused and backend == "auto":
        backend = "triton"
    name = token_backends.choose(args.given, backend)
    if fused and name != "triton":
        raise SettingsError("only Triton has the fused form", where="fused", fix='use backend="triton"')
    return name


def _blocks(
    args: LinearInput, ignored_id: int, chunk: int | None, fused: bool
) -> Iterator[tuple[Any, LinearInput]]:
    """Yield places and arguments of the tokens that are not ignored, some at a time (all where fused)."""
    given, ids = args.given, args.given.tokens
    read = (ids != ignored_id).nonzero()
    places = read[0] if given.kind == "numpy" else read[:, 0]
    width = 8 if given.dtype == "float64" else 4
    size = chunk or max(1, _CHUNK_BYTES // (width * given.vocabulary))
    if fused:
        size = chunk or max(1, len(places))
    everything = len(places) == len(ids)
    for begin in range(0, len(places), size):
        index = places[begin : begin + size]
        rows = slice(begin, begin + size) if everything else index
        block = TokenInput(
            args.given.kind, None, ids[rows], (len(index),), args.given.dtype, args.given.on_gpu
        )
        yield index, LinearInput(args.hidden[rows], args.weight, args.bias, block)


def _fused(block: LinearInput, temperature: float, first_id: int = 0, chosen: Any = None) -> tuple[Any, Any]:
    from crystal.kernels.linear_launch import launch_linear

    torch = token_inputs.need_torch("the fused form computes with torch")
    hidden, weight, bias, ids = (
        torch.from_numpy(np.ascontiguousarray(x)) if isinstance(x, np.ndarray) else x
        for x in (block.hidden, block.weight, block.bias, block.given.tokens)
    )
    if block.given.dtype == "bfloat16":
        hidden, weight = hidden.view(torch.bfloat16), weight.view(torch.bfloat16)
    known = None if chosen is None else torch.as_tensor(chosen, device=hidden.device)
    floats, counts = launch_linear(
        hidden,
        weight,
        ids.contiguous(),
        temperature,
        bias=None if bias is None else bias.contiguous(),
        first_id=first_id,
        chosen=known,
    )
    return (floats.numpy(), counts.numpy()) if block.given.kind == "numpy" else (floats, counts)
