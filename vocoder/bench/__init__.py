"""Benchmarks of streaming and of bandwidth extension on this machine."""
