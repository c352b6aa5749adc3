"""Triton kernels of crystal, installed as ``crystal.kernels``: they import nothing of crystal."""
