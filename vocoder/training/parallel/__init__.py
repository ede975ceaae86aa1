"""Training with several processes: ranks, exchange of gradients, sharding, and ends in common."""
