"""Kernels: fused implementations of hot operations, each beside a reference in plain PyTorch."""
