"""Unweighted losses, and the objective that weights them."""
