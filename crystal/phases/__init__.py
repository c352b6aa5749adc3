"""Judging a measurement: liquid, seed, settling, transitions, verdict. The paper's words live here only."""
