"""The only place that knows optimizers, steps, ranks and Hydra."""
