"""Guards of a run: the lock of its folder, a dry run of its first step, failures in one line."""
