"""The ladders that come with crystal: a small language model's answers through post-training.

Examples
--------
>>> from crystal import datasets
>>> datasets.names()
('lab-small',)
>>> ladder = datasets.load("lab-small")
>>> list(ladder.runs)
['main', 'foreign', 'rl-outside']
>>> ladder.runs["foreign"].truth["expected"]["refuted"]
'nucleation'
"""

from __future__ import annotations

from crystal.datasets.shipped import Dataset, Run, load, names

__all__ = ["Dataset", "Run", "load", "names"]
