"""The report of runs: one page with curves, scores, sounds, settings and warnings."""
