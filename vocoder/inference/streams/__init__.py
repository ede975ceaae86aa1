"""Live streams: signals arrive in pieces, and results are returned as soon as they are final."""
