"""Clustering: distributions into groups."""
