"""Entropy, coverage, divergence, intervals, tests: arrays in, results out, in bits."""
