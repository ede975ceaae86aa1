"""What recordings are degraded by in training: band limits, codecs, body conduction, noise."""
