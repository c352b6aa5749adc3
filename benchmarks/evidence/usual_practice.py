"""What the field usually does with the same draws: plug-in numbers, bootstraps, thresholds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.evidence.cells import markdown, percent
from benchmarks.evidence.interval_draws import settings
from benchmarks.evidence.worlds import Counts, Floats, published_folder, same, truth, worlds
from crystal.ops.resampling import permutation_test
from crystal.statistics.divergence import js_information
from crystal.statistics.entropy import entropy, shannon_entropy
from crystal.statistics.entropy_interval import entropy_interval
from crystal.statistics.js_interval import js_interval
from crystal.statistics.promptability import promptability

TITLE = "Where usual practice goes wrong"

PLACES = tuple((k, n) for k in (2, 10, 100) for n in (20, 100, 1_000))
DRAWS, RESAMPLES = 200, 400
OWN = {"entropy_ours": "H", "jsd_ours": "JSD", "null_ours": "JSD at P = Q"}
"""Crystal's own intervals, which must hold 95 % less 2.5 binomial standard errors."""
THRESHOLD = 0.1
"""Bits of JSD from which a change is commonly called one, or of I from which a base is called liquid."""
PROMPTS = 4
COUNTED = (
    "entropy_bootstrap",
    "entropy_corrected",
    "entropy_ours",
    "jsd_bootstrap",
    "jsd_ours",
    "null_bootstrap",
    "null_ours",
    "alarm_threshold",
    "alarm_ours",
    "missed_threshold",
    "missed_ours",
    "liquid_threshold",
    "liquid_ours",
)
AVERAGED = ("entropy_plugin", "entropy_miller_madow", "entropy_value", "jsd_plugin", "jsd_value")


def _bootstrap(counts: Counts, statistic: Callable[[Counts], Floats], random: np.random.Generator) -> Floats:
    """Return the 95 % percentile interval of a statistic over resampled samples."""
    n = counts.sum(axis=-1)
    again = random.multinomial(n, counts / n[..., None], size=(RESAMPLES, *n.shape))
    result: Floats = np.quantile(statistic(again), [0.025, 0.975])
    return result


def _holds(limits: Any, value: float) -> bool:
    return bool(limits[0] - 1e-9 <= value <= limits[1] + 1e-9)


def _jsd(counts: Counts) -> Floats:
    """Plug-in JSD [...] of counts [..., 2, P, K], mean over prompts."""
    p = counts / counts.sum(axis=-1, keepdims=True)
    return np.asarray(js_information(np.moveaxis(p, -3, -2)).mean(axis=-1))


def draw(options: int, samples: int, number: int) -> dict[str, float]:
    """Ask both practices of one draw at an effect and of one where nothing changes; NaN: nothing said."""
    names = worlds(options)
    random = np.random.default_rng([options, samples, 0, number])
    p = truth(names[number % len(names)], options, PROMPTS, random)
    chosen = settings(number)
    stream = {"draws": chosen.interval_draws, "seed": number, "threads": 1}
    counts = random.multinomial(samples, p).astype(np.int64)
    found: dict[str, float] = {}

    bits = float(shannon_entropy(p[0]).mean())
    ours = entropy_interval(counts[0], True, **stream)  # type: ignore[arg-type]
    for name, method in (("bootstrap", "plugin"), ("corrected", "miller_madow")):
        limits = _bootstrap(counts[0], lambda n, m=method: entropy(n, m).mean(axis=-1), random)
        found[f"entropy_{name}"] = _holds(limits, bits)
    found["entropy_ours"] = _holds((ours.low, ours.high), bits)
    for name in ("plugin", "miller_madow"):
        found[f"entropy_{name}"] = float(entropy(counts[0], name).mean()) - bits
    found["entropy_value"] = (ours.value or 0.0) - bits

    still = same(p, alike=True)
    null = random.multinomial(samples, still).astype(np.int64)
    for kind, data, apart in (("jsd", counts, float(_jsd_of(p))), ("null", null, 0.0)):
        blocks = np.ascontiguousarray(np.moveaxis(data, 0, 1))
        gate = permutation_test(blocks, "g", draws=999, seed=number, threads=1).p
        test = permutation_test(blocks, "js", draws=999, seed=number, threads=1).p
        mine = js_interval(blocks, permutation_p=test, **stream)  # type: ignore[arg-type]
        found[f"{kind}_bootstrap"] = _holds(_bootstrap(data, _jsd, random), apart)
        found[f"{kind}_ours"] = math.nan if mine.low is None else _holds((mine.low, mine.high), apart)
        called = float(_jsd(data)) > THRESHOLD, gate < chosen.alpha
        if kind == "null":
            found["alarm_threshold"], found["alarm_ours"] = called
            found["jsd_plugin"], found["jsd_value"] = float(_jsd(data)), mine.value or 0.0
        else:
            found["missed_threshold"], found["missed_ours"] = (not call for call in called)
    liquid = promptability(null[0], permutations=999, **stream)  # type: ignore[arg-type]
    plain = null[0] / samples
    found["liquid_threshold"] = float(js_information(plain)) > THRESHOLD
    found["liquid_ours"] = liquid.low is not None and liquid.low > THRESHOLD
    return found


def _jsd_of(p: Floats) -> Floats:
    return np.asarray(js_information(np.stack(list(p), axis=1)).mean())


def run(scale: float, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Run both practices side by side."""
    rows = []
    for done, (options, samples) in enumerate(PLACES):
        progress(done, len(PLACES))
        found = [draw(options, samples, number) for number in range(max(4, round(DRAWS * scale)))]
        means = {name: [row[name] for row in found] for name in (*COUNTED, *AVERAGED)}
        row: dict[str, Any] = {"options": options, "samples": samples, "draws": len(found)}
        for name, values in means.items():
            known = [value for value in values if not math.isnan(value)]
            row[name] = round(float(np.mean(known)), 4) if known else None
        rows.append(row)
    return {"published": published_folder() is not None, "rows": rows}


def failures(results: dict[str, Any]) -> list[str]:
    """Our own rates must hold here too."""
    found = []
    for row in results["rows"]:
        place, draws = f"K = {row['options']}, n = {row['samples']:,}", row["draws"]
        limit = 0.05 + 2.5 * math.sqrt(0.05 * 0.95 / draws)
        for name, what in (("alarm_ours", "a change is called"), ("liquid_ours", "a base is called liquid")):
            if row[name] > limit:
                found.append(f"{place}: where there is none, {what} in {percent(row[name])} % of {draws}.")
        for name, what in OWN.items():
            if row[name] is not None and row[name] < 1 - limit:
                found.append(f"{place}: our interval of {what} holds in {percent(row[name])} % of {draws}.")
    return found


def _share(value: float | None) -> str:
    return "-" if value is None else percent(value)


def page(results: dict[str, Any]) -> str:
    """Write the section."""

    def columns(header: list[str], show: Callable[[dict[str, Any]], list[str]]) -> str:
        rows = [[str(row["options"]), f"{row['samples']:,}", *show(row)] for row in results["rows"]]
        return markdown(["K", "n", *header], rows)

    covers = columns(
        ["H, plug-in", "H, Miller-Madow", "H, ours", "JSD", "JSD, ours", "JSD at P = Q", "the same, ours"],
        lambda row: [_share(row[name]) for name in COUNTED[:7]],
    )
    biases = columns(
        ["H, plug-in", "H, Miller-Madow", "H, ours", "JSD at P = Q, plug-in", "the same, ours"],
        lambda row: [f"{row[name]:+.3f}" for name in AVERAGED],
    )
    calls = columns(
        [
            "nothing changed: JSD > .1",
            "ours",
            "changed: JSD not > .1",
            "not called by ours",
            "prompts alike: I > .1",
            "ours",
        ],
        lambda row: [_share(row[name]) for name in COUNTED[7:]],
    )
    published = "published distributions among them" if results.get("published") else "none of them published"
    return f"""\
Truths of the same worlds as in the section on intervals, {published}, {PROMPTS}
prompts; each draw is asked twice, by crystal and by what is usually done. That is the plug-in estimate or
Miller and Madow's correction, with a percentile bootstrap of {RESAMPLES} resamples; the uncorrected JSD,
with the same bootstrap; and a threshold of {THRESHOLD} bit.

Criteria, for crystal: in every row its intervals hold 95 % less 2.5 binomial standard errors, and it calls
what is not there in at most 5 % and as many errors.

**Coverage of nominal 95 % intervals, %** (-: no interval is given):

{covers}

The percentile bootstrap resamples from data that are already less even than the truth, and further apart: it
copies the bias instead of seeing it. Where nothing changed it cannot hold 0 at all.

**Mean error of the value, bits:**

{biases}

**Calls by a threshold, %**, beside crystal's test at .05 (and its lower limit, for liquid). At few samples
and many options the threshold calls everything; at many samples it misses what is small but plain.

{calls}"""
