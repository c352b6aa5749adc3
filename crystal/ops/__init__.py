"""The only door to compiled code: one file per family of operations."""
