"""The sub-commands, one file per group: parse, call, exit code."""
