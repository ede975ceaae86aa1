"""Guards of a run: the lock of its folder, a rehearsal of its first step, failures in one line."""
