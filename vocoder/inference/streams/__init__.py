"""Live streams: signals that arrive in pieces, with results as soon as they are final."""
