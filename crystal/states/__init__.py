"""Mergeable states: integers only, so that any split of the samples gives the very same bytes."""
