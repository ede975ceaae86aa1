"""Any network as an exact live stream, by rules for the operations in its traced graph."""
