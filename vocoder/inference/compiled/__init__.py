"""Generators compiled for the CPU: their graph as a program of fused kernels."""
