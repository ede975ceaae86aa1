"""Parts of a training step: micro-batches, and what makes several of them equal to one batch."""
