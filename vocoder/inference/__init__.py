"""What users hold: loaded models, ready for one call, a file or a live stream."""
