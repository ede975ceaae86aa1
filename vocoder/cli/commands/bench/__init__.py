"""Benchmark commands: `vocoder bench …`."""
