"""Statistics of token distributions from one read of the logits, on whichever backend fits the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels import token_fields
from crystal.ops import token_inputs
from crystal.ops.token_inputs import TokenInput, has_module, need_torch

Backend = Literal["auto", "triton", "torch"]


@dataclass(frozen=True, slots=True)
class TokenStats:
    """Statistics per token, in the shape of the ids and in the library of the logits; nats.

    A field is None where ``metrics`` did not select it. Floats are float32 (float64 for float64 logits),
    counts are int64.

    Attributes
    ----------
    logsumexp : array
        log sum exp(x / T).
    logprob : array
        log p of the token, at most 0.
    entropy : array
        -sum p log p, 0 to log(vocabulary).
    varentropy : array
        Variance of -log p under p, nats squared.
    collision : array
        sum p^2, 1 / vocabulary to 1.
    top1 : array
        The largest p.
    argmax : array
        The smallest id of the largest logit.
    n_greater, n_equal : array
        How many logits are larger than the token's, and how many equal it (itself among them): its rank is
        n_greater + 1.
    mass_above : array
        Probability of all tokens that are more probable than the token: its place in the nucleus, 0 to 1.
    status : array
        0 for a good row, else 1 (no finite logit: logsumexp is -inf), 2 (a NaN or +inf among the logits) or 4
        (the ignored id; the row was not read). Where it is not 0 the other floats are NaN and counts -1.
    """

    status: Any
    logsumexp: Any = None
    logprob: Any = None
    entropy: Any = None
    varentropy: Any = None
    collision: Any = None
    top1: Any = None
    argmax: Any = None
    n_greater: Any = None
    n_equal: Any = None
    mass_above: Any = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the fields that are there as columns, one row a token in row-major order."""
        import pyarrow as pa

        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {
            name: np.asarray(value.cpu() if token_inputs.is_torch(value) else value).ravel()
            for name, value in columns.items()
            if value is not None
        }
        return pa.table(arrays).__arrow_c_stream__(requested_schema)


def token_stats(
    logits: Any,
    tokens: Any,
    temperature: float = 1.0,
    *,
    backend: Backend = "auto",
    metrics: Sequence[str] | None = None,
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
) -> TokenStats:
    """Return entropy, log-probability and their relatives for every token, from one read of the logits.

    Sums are centred on the largest logit: with c = log2(e) / T, d = c (x - max) and e = 2^d, the read keeps
    s = sum e, t = sum e d, u = sum e d^2 and q = sum e^2, and ln2 (log2 s - t / s) is the entropy. Adding a
    constant to all logits therefore changes nothing, where the usual lse - sum p x loses digits.

    Parameters
    ----------
    logits : torch.Tensor, numpy.ndarray or an object with DLPack
        [tokens, vocabulary] or [batch, time, vocabulary]; float32, float16 or bfloat16 (float64 on "torch"
        only); stride 1 along the vocabulary, any other strides; vocabulary at most 1,048,576. Logits beyond
        1e30 in magnitude count as infinite.
    tokens : array of integers
        Ids of shape [tokens] or [batch, time].
    temperature : float
        Divides the logits; 1e-4 to 1e4.
    backend : {"auto", "triton", "torch"}
        "triton" for tensors on a GPU, "torch" for anything; "auto" takes the first that fits.
    metrics : sequence of str, optional
        Names of the fields wanted; all by default. Fewer can be cheaper.
    ignored_id : int
        Positions of this id (padding, masked tokens) are not read and get status 4.
    dtype : str, optional
        "bfloat16", where a NumPy array of uint16 holds the bits of bfloat16.

    Returns
    -------
    TokenStats
        Fields in the shape of `tokens` and in the library of `logits`.

    Raises
    ------
    SettingsError
        On a wrong kind, shape, dtype, device, id, temperature, metric or backend; before any work.
    LayoutError
        (a SettingsError) if the vocabulary is not contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> from crystal.ops.token_inputs import check
    >>> check(np.zeros((1, 4), np.float32), [4])
    Traceback (most recent call last):
    crystal.errors.SettingsError: tokens, position 0: an id outside the vocabulary (expected 0 to 3, or -100 \
to ignore it, got 4)
    """
    wanted = _wanted(metrics)
    temperature = token_inputs.check_temperature(temperature)
    given = token_inputs.check(logits, tokens, ignored_id=ignored_id, dtype=dtype)
    chosen = choose(given, backend)
    if chosen == "triton":
        floats, counts = _triton(given, temperature, wanted, ignored_id)
    else:
        floats, counts = _torch(given, temperature, ignored_id)
    return _result(given, floats, counts, wanted)


def choose(given: TokenInput, backend: str) -> str:
    """Return the backend that serves an input; a SettingsError says why the named one cannot."""
    if backend not in ("auto", "triton", "torch"):
        raise SettingsError("unknown", where="backend", expected="auto, triton or torch", got=repr(backend))
    if backend == "auto":
        fits = given.on_gpu and given.dtype != "float64" and has_module("triton")
        backend = "triton" if fits else "torch"
    if backend == "triton":
        if given.dtype == "float64":
            raise SettingsError(
                "Triton does not read float64 here", where="logits", fix='use backend="torch"'
            )
        if not has_module("triton"):
            raise SettingsError("triton is not installed", where="backend", fix='use backend="torch"')
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


def _wanted(metrics: Sequence[str] | None) -> tuple[str, ...]:
    names = token_fields.RESULTS if metrics is None else tuple(metrics)
    if isinstance(metrics, str) or not set(names) <= set(token_fields.RESULTS):
        raise SettingsError(
            "unknown names", where="metrics", expected=", ".join(token_fields.RESULTS), got=repr(metrics)
        )
    return names


def _as_torch(given: TokenInput) -> tuple[Any, Any]:
    torch = need_torch("this backend computes with torch")
    if given.kind == "torch":
        return given.logits, given.tokens
    if given.logits.flags.writeable:
        logits = torch.from_numpy(given.logits)
    else:
        # torch warns about read-only memory; nothing here writes to it.
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            logits = torch.from_numpy(given.logits)
    if given.dtype == "bfloat16":
        logits = logits.view(torch.bfloat16)
    return logits, torch.from_numpy(given.tokens)


def _triton(
    given: TokenInput, temperature: float, wanted: tuple[str, ...], ignored_id: int
) -> tuple[Any, Any]:
    from crystal.kernels.token_launch import launch_stats

    logits, tokens = _as_torch(given)
    level = next(name for name, held in token_fields.LEVELS.items() if set(wanted) <= set(held))
    floats, counts = launch_stats(logits, tokens, temperature, level=level, ignored_id=ignored_id)
    return floats, counts


def _torch(given: TokenInput, temperature: float, ignored_id: int) -> tuple[Any, Any]:
    torch = need_torch("this backend computes with torch")
    from crystal.kernels.token_reference import reference_stats

    logits, tokens = _as_torch(given)
    dtype = torch.float64 if given.dtype == "float64" else torch.float32
    floats, counts = reference_stats(logits, tokens, temperature, ignored_id=ignored_id, dtype=dtype)
    return floats, counts


def _result(given: TokenInput, floats: Any, counts: Any, wanted: tuple[str, ...]) -> TokenStats:
    if given.kind == "numpy":
        floats, counts = floats.numpy(), counts.numpy().astype(np.int64)
    else:
        counts = counts.to(need_torch("the logits are a torch tensor").int64)
    named = dict(zip(token_fields.RESULT_FLOATS, floats, strict=True))
    named |= dict(zip(token_fields.RESULT_COUNTS, counts, strict=True))
    return TokenStats(**{name: named[name].reshape(given.shape) for name in (*wanted, "status")})
