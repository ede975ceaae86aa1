"""Networks from features to audio, one file per paper family."""
