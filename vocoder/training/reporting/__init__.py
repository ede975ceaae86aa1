"""Reports of a run: validation scores, curves, pictures and progress."""
