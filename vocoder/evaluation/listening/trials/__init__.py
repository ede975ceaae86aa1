"""Listening tests: which trials are made of which sounds, and the page that listeners take."""
