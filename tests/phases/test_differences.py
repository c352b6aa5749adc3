"""Differences between two checkpoints where little was shown."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from crystal.phases.differences import sampled_differences
from crystal.phases.settings import Settings
from crystal.phases.sides import side, usable
from crystal.testing.planted import ladder


def test_one_option_shown_of_several_does_not_prove_that_nothing_changed() -> None:
    table = ladder("frozen", tasks=1, prompts=2, options=4, families=("all",)).tables(20)[0]
    counts = np.zeros_like(table.counts)
    counts[..., 1] = 20
    table = replace(table, counts=counts)
    sides = [side(table, c, usable(table, c)) for c in (0, 1)]
    found = sampled_differences(sides[0], sides[1], table, Settings(draws=199, threads=1), 1).estimates
    assert found["jsd"].value == 0.0
    assert found["jsd"].low == 0.0
    assert found["jsd"].high is not None
    assert 0.01 < found["jsd"].high < 0.2
