"""Reports to listen to, and listening tests."""
