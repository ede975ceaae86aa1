"""Checkpoints of other projects: one file per project, tried in turn by `importer`."""
