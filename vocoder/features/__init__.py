"""What generators are conditioned on: modules from audio to a tensor of frames."""
