"""Statistics of token distributions from one read of the logits, on whichever backend fits the input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels import token_fields
from crystal.ops import token_backends, token_inputs
from crystal.ops.token_backends import Backend
from crystal.ops.token_inputs import TokenInput


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
    threads: int = 0,
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
    backend : {"auto", "triton", "cpu", "torch"}
        "triton" for tensors on a GPU, "cpu" (C++) for CPU memory, "torch" for anything; "auto" takes the
        first that fits. The first two never copy logits.
    metrics : sequence of str, optional
        Names of the fields wanted; all by default. Fewer can be cheaper.
    ignored_id : int
        Positions of this id (padding, masked tokens) are not read and get status 4.
    dtype : str, optional
        "bfloat16", where a NumPy array of uint16 holds the bits of bfloat16.
    threads : int
        For "cpu"; 0 means CRYSTAL_THREADS, else all cores. Results are the same bytes for any number.

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
    >>> logits = np.log(np.array([[0.5, 0.25, 0.25]], dtype=np.float32))
    >>> stats = token_stats(logits, [2])
    >>> print(np.round(stats.entropy, 4), np.round(stats.logprob, 4), stats.n_greater, stats.n_equal)
    [1.0397] [-1.3863] [1] [2]
    """
    wanted = check_metrics(metrics)
    temperature = token_inputs.check_temperature(temperature)
    given = token_inputs.check(logits, tokens, ignored_id=ignored_id, dtype=dtype)
    chosen = token_backends.choose(given, backend)
    level = token_backends.level_for(wanted)
    floats, counts = token_backends.results(
        given, temperature, chosen, level=level, ignored_id=ignored_id, threads=threads
    )
    return as_stats(given, floats, counts, wanted)


def check_metrics(metrics: Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the wanted fields; all by default."""
    names = token_fields.RESULTS if metrics is None else tuple(metrics)
    if isinstance(metrics, str) or not set(names) <= set(token_fields.RESULTS):
        raise SettingsError(
            "unknown names", where="metrics", expected=", ".join(token_fields.RESULTS), got=repr(metrics)
        )
    return names


def as_stats(given: TokenInput, floats: Any, counts: Any, wanted: tuple[str, ...]) -> TokenStats:
    """Name, shape and round what a backend returned."""
    if given.dtype != "float64":
        floats = floats.astype(np.float32) if given.kind == "numpy" else floats.float()
    named = dict(zip(token_fields.RESULT_FLOATS, floats, strict=True))
    named |= dict(zip(token_fields.RESULT_COUNTS, counts, strict=True))
    return TokenStats(**{name: named[name].reshape(given.shape) for name in (*wanted, "status")})
