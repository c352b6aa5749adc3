"""One number with its interval, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number, its limits, its null and its p-value; ``None`` where it cannot be given.

    Parameters
    ----------
    value : float or None
        The point estimate, in the unit of its function (bits, or a probability).
    low, high : float or None
        Limits of what more samples of the same prompts would show.
    estimator : str or None
        Name of the estimator, and of the interval after a comma.
    null : float or None
        Mean of the same statistic where nothing differs.
    p : float or None
        p-value of the hypothesis that the true value is 0.
    reason : str or None
        Why the value or a limit is missing.
    exact : bool
        True if there is no sampling noise: then ``low == high == value`` and ``p`` is None.

    Examples
    --------
    >>> Estimate.of_exact(0.25).high
    0.25
    >>> Estimate.unknown("no shared prompts").value is None
    True
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    estimator: str | None = None
    null: float | None = None
    p: float | None = None
    reason: str | None = None
    exact: bool = False

    @classmethod
    def of_exact(cls, value: float) -> Estimate:
        """Return a value that has no sampling noise."""
        return cls(value=value, low=value, high=value, estimator="exact", exact=True)

    @classmethod
    def unknown(cls, reason: str, *, null: float | None = None, p: float | None = None) -> Estimate:
        """Return the estimate that says only why it is none."""
        return cls(reason=reason, null=null, p=p)

    @property
    def width(self) -> float | None:
        """``high - low``, or None."""
        return None if self.low is None or self.high is None else self.high - self.low
