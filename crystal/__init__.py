"""crystal measures how post-training changes the distribution of a language model's answers.

The public names are resolved when they are first used (PEP 562), so ``import crystal`` loads neither NumPy
nor pyarrow, torch, triton or ray.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crystal import datasets as datasets
    from crystal.analysis import analyze as analyze
    from crystal.clustering.distributions import cluster_distributions as cluster_distributions
    from crystal.engine.local import measure as measure
    from crystal.errors import CrystalError as CrystalError
    from crystal.ops.minhash import minhash as minhash
    from crystal.ops.near_duplicates import near_duplicates as near_duplicates
    from crystal.ops.ngrams import ngram_counts as ngram_counts
    from crystal.ops.ngrams import ngram_overlap as ngram_overlap
    from crystal.ops.sequences import count_sequences as count_sequences
    from crystal.ops.token_curves import temperature_curve as temperature_curve
    from crystal.ops.token_divergence import token_divergence as token_divergence
    from crystal.ops.token_divergence import token_divergence_state as token_divergence_state
    from crystal.ops.token_fold import fold as fold
    from crystal.ops.token_linear import linear_token_state as linear_token_state
    from crystal.ops.token_linear import linear_token_stats as linear_token_stats
    from crystal.ops.token_shift import shift_classes as shift_classes
    from crystal.ops.token_states import merge_token_states as merge_token_states
    from crystal.ops.token_states import token_state as token_state
    from crystal.ops.tokens import token_stats as token_stats
    from crystal.phases.classify import classify as classify
    from crystal.phases.compare import compare as compare
    from crystal.phases.results import PhaseReport as PhaseReport
    from crystal.phases.seed import find_seed as find_seed
    from crystal.phases.settings import Settings as Settings
    from crystal.readers.stream import read as read
    from crystal.sampling.sample import sample as sample
    from crystal.sampling.score import score as score
    from crystal.states.measurement import Measurement as Measurement
    from crystal.states.ngram_table import NgramTable as NgramTable
    from crystal.states.sequence_table import SequenceTable as SequenceTable
    from crystal.statistics.cooling import cooling_test as cooling_test
    from crystal.statistics.divergence import divergence_matrix as divergence_matrix
    from crystal.statistics.entropy import entropy as entropy

_HOMES = {
    "CrystalError": "crystal.errors",
    "Measurement": "crystal.states.measurement",
    "NgramTable": "crystal.states.ngram_table",
    "PhaseReport": "crystal.phases.results",
    "SequenceTable": "crystal.states.sequence_table",
    "Settings": "crystal.phases.settings",
    "analyze": "crystal.analysis",
    "classify": "crystal.phases.classify",
    "cluster_distributions": "crystal.clustering.distributions",
    "compare": "crystal.phases.compare",
    "cooling_test": "crystal.statistics.cooling",
    "count_sequences": "crystal.ops.sequences",
    "divergence_matrix": "crystal.statistics.divergence",
    "entropy": "crystal.statistics.entropy",
    "find_seed": "crystal.phases.seed",
    "fold": "crystal.ops.token_fold",
    "linear_token_state": "crystal.ops.token_linear",
    "linear_token_stats": "crystal.ops.token_linear",
    "measure": "crystal.engine.local",
    "merge_token_states": "crystal.ops.token_states",
    "minhash": "crystal.ops.minhash",
    "near_duplicates": "crystal.ops.near_duplicates",
    "ngram_counts": "crystal.ops.ngrams",
    "ngram_overlap": "crystal.ops.ngrams",
    "read": "crystal.readers.stream",
    "sample": "crystal.sampling.sample",
    "score": "crystal.sampling.score",
    "shift_classes": "crystal.ops.token_shift",
    "temperature_curve": "crystal.ops.token_curves",
    "token_divergence": "crystal.ops.token_divergence",
    "token_divergence_state": "crystal.ops.token_divergence",
    "token_state": "crystal.ops.token_states",
    "token_stats": "crystal.ops.tokens",
}

__all__ = [
    "CrystalError",
    "Measurement",
    "NgramTable",
    "PhaseReport",
    "SequenceTable",
    "Settings",
    "__version__",
    "analyze",
    "classify",
    "cluster_distributions",
    "compare",
    "cooling_test",
    "count_sequences",
    "datasets",
    "divergence_matrix",
    "entropy",
    "find_seed",
    "fold",
    "linear_token_state",
    "linear_token_stats",
    "measure",
    "merge_token_states",
    "minhash",
    "near_duplicates",
    "ngram_counts",
    "ngram_overlap",
    "read",
    "sample",
    "score",
    "shift_classes",
    "temperature_curve",
    "token_divergence",
    "token_divergence_state",
    "token_state",
    "token_stats",
]  # __version__ is resolved below


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("crystal-phases")
    if name == "datasets":
        return importlib.import_module("crystal.datasets")
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'crystal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
