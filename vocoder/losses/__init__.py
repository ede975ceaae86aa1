"""Unweighted losses and the objective that weighs them."""
