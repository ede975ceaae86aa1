"""Training: the systems, the loop over steps and ranks, optimizers, and Hydra's configuration."""
