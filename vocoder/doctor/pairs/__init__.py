"""A mel beside the recording of the same words: how they align, and how they differ."""
