"""What the values of a mel can mean, and how likely each meaning is."""
