"""Kernels on rows: one row of memory for each time step, with its channels beside each other.

A row has a multiple of `lanes` floats; those after the last channel are zero. Kernels compute whole
tiles of rows, so every buffer has `SLACK` rows behind its last one whose content means nothing.
"""

SLACK = 32
