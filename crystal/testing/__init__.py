"""Tools for tests, for users too: the laws of mergeable states, and planted ladders of known truth."""
