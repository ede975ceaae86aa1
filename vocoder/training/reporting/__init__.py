"""What a person sees of a run: validation scores, curves, pictures and progress."""
