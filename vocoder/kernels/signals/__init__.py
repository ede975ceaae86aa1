"""Kernels on signals: the steps of a channel beside each other in memory."""
