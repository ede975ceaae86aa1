"""Quality and intelligibility as listeners may judge them, by other packages and networks."""
