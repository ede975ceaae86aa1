"""Runs on disk: the record that each leaves of how it was made, and how runs compare."""
