"""What all importers need: reading weights and settings, and putting weights into our networks."""
