"""How far two checkpoints are apart on each token, exact down to the smallest signals."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from crystal.errors import SettingsError
from crystal.kernels.divergence_sums import DIVERGENCES, finish, merge
from crystal.ops import divergence_backends, token_backends, token_inputs
from crystal.ops.token_backends import Backend


@dataclass(frozen=True, slots=True)
class TokenDivergence:
    """Divergences of two distributions p and q per token, in the shape of the rows and the logits' library.

    Floats are float32 (float64 for float64 logits, and from :meth:`DivergenceState.result`).

    Attributes
    ----------
    kl, kl_reverse : array
        sum p log(p / q) and sum q log(q / p), nats, 0 to inf (where one side has -inf and the other has not).
    js : array
        Jensen-Shannon divergence with weights 1/2, nats, 0 to log 2.
    tv : array
        sum |p - q| / 2, 0 to 1.
    hellinger : array
        sqrt(sum (sqrt p - sqrt q)^2 / 2), 0 to 1.
    noise_floor : array
        The `kl` to be expected between two copies of one row whose logits were rounded to this dtype
        independently, nats. A `kl` near it says nothing; `js` has a quarter of it, `hellinger` half its root.
    status : array
        int64: 0, or the bits of :class:`crystal.ops.tokens.TokenStats` of both sides together; where it is
        not 0 the floats are NaN.
    log_ratio : array or None
        log(p / q) of the token, nats; None without tokens, NaN where both sides have -inf.
    """

    status: Any
    kl: Any
    kl_reverse: Any
    js: Any
    tv: Any
    hellinger: Any
    noise_floor: Any
    log_ratio: Any = None

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the fields that are there as columns, one row a token in row-major order."""
        import pyarrow as pa

        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        arrays = {
            name: np.asarray(value.cpu() if token_inputs.is_torch(value) else value).ravel()
            for name, value in columns.items()
            if value is not None
        }
        return pa.table(arrays).__arrow_c_stream__(requested_schema)


@dataclass(frozen=True, slots=True)
class DivergenceState:
    """What one part of a vocabulary knows about two rows; parts merge by addition, in any order.

    Attributes
    ----------
    sums : array
        float64 [11, tokens], the fields of ``crystal.kernels.divergence_sums.SUMS``.
    levels : array
        float64 [2, tokens]: temperature times logsumexp of both sides, of all parts alike.
    status : array
        int64 [tokens], of all parts alike.
    temperature : float
        Of all parts alike.
    dtype : str
        Of the logits.
    shape : tuple of int
        The leading shape of the logits.
    tokens : bool
        Whether tokens were given.
    """

    sums: Any
    levels: Any
    status: Any
    temperature: float
    dtype: str
    shape: tuple[int, ...]
    tokens: bool

    def merge(self, other: DivergenceState) -> DivergenceState:
        """Return the state of both parts together; neither is changed.

        Raises
        ------
        SettingsError
            If the parts were read at other temperatures, dtypes, shapes or logsumexp.
        """
        for name in ("temperature", "dtype", "shape", "tokens"):
            ours, theirs = getattr(self, name), getattr(other, name)
            if ours != theirs:
                raise SettingsError(
                    "states of different reads", where=name, expected=str(ours), got=str(theirs)
                )
        if type(self.sums) is not type(other.sums):
            raise SettingsError("states in different array libraries", where="other")
        if not bool((self.levels == other.levels).all() and (self.status == other.status).all()):
            raise SettingsError("states of different logsumexp or ignored ids", where="other")
        total = merge(self._library(), self.sums, other.sums)
        return DivergenceState(
            total, self.levels, self.status, self.temperature, self.dtype, self.shape, self.tokens
        )

    def result(self) -> TokenDivergence:
        """Return the divergences as float64."""
        found = finish(self._library(), self.sums, self.levels, self.status, self.temperature, self.dtype)
        named = {
            name: value.reshape(self.shape)
            for name, value in zip(DIVERGENCES, found, strict=True)
            if self.tokens or name != "log_ratio"
        }
        return TokenDivergence(status=self.status.reshape(self.shape), **named)

    def _library(self) -> Any:
        torch = token_inputs.is_torch(self.sums)
        return token_inputs.need_torch("the state holds tensors") if torch else np


def token_divergence(
    p_logits: Any,
    q_logits: Any,
    tokens: Any = None,
    *,
    temperature: float = 1.0,
    backend: Backend = "auto",
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> TokenDivergence:
    """Return KL both ways, Jensen-Shannon, total variation and Hellinger for every row of two checkpoints.

    A first read gives both normalisers, a second one sums functions of w = log(p_i / q_i) whose terms are
    never negative and small where w is: KL(p|q) = sum p (exp(-w) - 1 + w), with the rounding of the
    normalisers taken out again. Differences of log_softmax, in contrast, lose a KL of 1e-7 in their rounding.

    Parameters
    ----------
    p_logits, q_logits : torch.Tensor, numpy.ndarray or an object with DLPack
        [tokens, vocabulary] or [batch, time, vocabulary], of one shape, dtype and device; kinds, dtypes and
        layouts as in :func:`crystal.token_stats`. Their strides may differ.
    tokens : array of integers, optional
        Ids of the leading shape, for `log_ratio` and for `ignored_id`.
    temperature : float
        Divides the logits of both sides; 1e-4 to 1e4.
    backend, ignored_id, dtype, threads
        As in :func:`crystal.token_stats`.

    Returns
    -------
    TokenDivergence
        In the library of the logits.

    Raises
    ------
    SettingsError
        On a wrong kind, shape, dtype, device, id, temperature or backend, or two sides that do not fit each
        other; before any work.
    LayoutError
        (a SettingsError) if a vocabulary is not contiguous.

    Examples
    --------
    >>> import numpy as np
    >>> p = np.log(np.array([[0.5, 0.5]], dtype=np.float32))
    >>> q = np.log(np.array([[0.25, 0.75]], dtype=np.float32))
    >>> d = token_divergence(p, q, [0])
    >>> print(np.round(d.kl, 4), np.round(d.kl_reverse, 4), np.round(d.tv, 4), np.round(d.log_ratio, 4))
    [0.1438] [0.1308] [0.25] [0.6931]
    """
    state = _read(p_logits, q_logits, tokens, temperature, backend, ignored_id, dtype, threads)
    found = state.result()
    if state.dtype == "float64":
        return found
    named = {field.name: getattr(found, field.name) for field in fields(found)}
    narrow = {
        name: value.float() if token_inputs.is_torch(value) else value.astype(np.float32)
        for name, value in named.items()
        if value is not None and name != "status"
    }
    return TokenDivergence(status=found.status, **narrow)


def token_divergence_state(
    p_part: Any,
    q_part: Any,
    p_logsumexp: Any,
    q_logsumexp: Any,
    tokens: Any = None,
    first_id: int = 0,
    *,
    temperature: float = 1.0,
    backend: Backend = "auto",
    ignored_id: int = token_inputs.IGNORED_ID,
    dtype: str | None = None,
    threads: int = 0,
) -> DivergenceState:
    """Return the sums of one part of the vocabulary, such as a tensor-parallel rank holds.

    Parameters
    ----------
    p_part, q_part : array
        Logits of the ids from `first_id` on, as in :func:`token_divergence`.
    p_logsumexp, q_logsumexp : array
        Floats of the leading shape: logsumexp of the whole rows at this temperature, the same for all parts,
        as ``crystal.merge_token_states(...).result().logsumexp`` has it. Their rounding is taken out of the
        results, that of `tv` excepted.
    tokens : array of integers, optional
        Ids in the whole vocabulary, the same for every part.
    first_id : int
        The id of the first column.
    temperature, backend, ignored_id, dtype, threads
        As in :func:`token_divergence`.

    Returns
    -------
    DivergenceState
        ``.merge(other)`` joins parts, ``.result()`` gives the divergences.

    Raises
    ------
    SettingsError
        As :func:`token_divergence` does; an id may lie outside the part, but not below zero.

    Examples
    --------
    >>> import numpy as np
    >>> p, q = np.zeros((1, 4), np.float32), np.log(np.array([[1, 1, 1, 5]], dtype=np.float32))
    >>> whole = [np.log([4.0]), np.log([8.0])]
    >>> parts = [token_divergence_state(p[:, i : i + 2], q[:, i : i + 2], *whole) for i in (0, 2)]
    >>> print(np.round(parts[0].merge(parts[1]).result().tv, 6))
    [0.375]
    """
    if first_id < 0:
        raise SettingsError("below zero", where="first_id", got=str(first_id))
    whole = (p_logsumexp, q_logsumexp)
    return _read(p_part, q_part, tokens, temperature, backend, ignored_id, dtype, threads, first_id, whole)


def _read(
    p_logits: Any,
    q_logits: Any,
    tokens: Any,
    temperature: float,
    backend: str,
    ignored_id: int,
    dtype: str | None,
    threads: int,
    first_id: int | None = None,
    logsumexp: tuple[Any, Any] | None = None,
) -> DivergenceState:
    temperature = token_inputs.check_temperature(temperature)
    if tokens is None:
        ignored_id = token_inputs.IGNORED_ID  # no row has it
    p, q = divergence_backends.check_pair(
        p_logits, q_logits, tokens, ignored_id=ignored_id, dtype=dtype, first_id=first_id
    )
    name = token_backends.choose(p, backend)
    whole = None
    if logsumexp is not None:
        whole = (
            divergence_backends.logsumexp_of(logsumexp[0], p, "p_logsumexp"),
            divergence_backends.logsumexp_of(logsumexp[1], q, "q_logsumexp"),
        )
    total, levels, status = divergence_backends.sums(
        p, q, temperature, name,
        ignored_id=ignored_id, first_id=first_id or 0, logsumexp=whole, threads=threads,
    )  # fmt: skip
    return DivergenceState(total, levels, status, temperature, p.dtype, p.shape, tokens is not None)
