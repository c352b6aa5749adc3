"""What every form of the token kernels agrees on: fields, their order, status bits and limits.

A row of logits x at temperature T is read as z = x log2(e) / T. The state of a row, or of any part of it, is
centred on ``shift``, the largest z (rounded once): with d = z - shift and e = 2^d it holds sum e, sum e d,
sum e d^2 and sum e^2. Centred sums do not lose digits when all logits move by one constant.
"""

from __future__ import annotations

# The state of one part of a row. `maximum` and `chosen` are logits as given, the rest is in units of z.
STATE_FLOATS = ("maximum", "shift", "sum", "first", "second", "square", "chosen", "above")
STATE_COUNTS = ("argmax", "greater", "equal", "status")

# The results of a whole row.
RESULT_FLOATS = ("logsumexp", "logprob", "entropy", "varentropy", "collision", "top1", "mass_above")
RESULT_COUNTS = ("argmax", "n_greater", "n_equal", "status")
RESULTS = (
    "logsumexp",
    "logprob",
    "entropy",
    "varentropy",
    "collision",
    "top1",
    "argmax",
    "n_greater",
    "n_equal",
    "mass_above",
)

# Three sizes of the same kernel: what each computes beyond the one before.
LEVELS = {
    "core": ("logsumexp", "logprob", "entropy"),
    "standard": ("logsumexp", "logprob", "entropy", "varentropy", "collision", "top1", "argmax", "n_greater"),
    "all": RESULTS,
}

# Status bits of a row; 0 is a row whose every result is good.
EMPTY = 1  # no logit above -LARGEST: logsumexp is -inf, the other results NaN (counts -1)
INVALID = 2  # a NaN, or a logit above LARGEST: every result NaN (counts -1)
IGNORED = 4  # the token id is the ignored one: the row was not read, every result NaN (counts -1)

# A count that nobody could take, because the token's logit was not known; it stays negative in every sum.
UNKNOWN = -(1 << 40)

# Logits beyond this magnitude count as infinite: a running maximum has to start at a finite number that still
# is finite after it is scaled by log2(e) / T. Masks written as the lowest float32 are -inf by this rule.
LARGEST = 1e30

# Exponents are clamped here: 2^-2000 is 0 in every precision, and 0 * -2000 is 0 where 0 * -inf would be NaN.
LOWEST_EXPONENT = -2000.0

MIN_TEMPERATURE, MAX_TEMPERATURE = 1e-4, 1e4
MAX_VOCABULARY = 1 << 20
