"""The command line: it parses, calls :mod:`crystal.analysis`, and prints. Its modules import lightly."""
