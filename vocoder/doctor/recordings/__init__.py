"""What the samples and the spectrum of a recording tell of what was done to it."""
