"""Grouped convolution of signals and its gradients, as compiled kernels for CPUs."""
