"""Kernels of the networks for NVIDIA cards, in Triton; ``choice`` says when they are used.

Each replaces some of PyTorch's operators, which stay where it is not used and are what tests hold
it against. They start nothing that a CUDA graph could not repeat: no waits, no copies from the
host, no sizes that hang on values. Sums are made in a fixed order, so that the same numbers give
the same bits. Matrix products stay cuBLAS's, whose precision is the run's.
"""
