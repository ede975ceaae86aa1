"""Fuzz harness: the readers of files from anywhere, tried with mutations of valid files.

    python -m tests.fuzz READER --runs N --seed S

Run number i of a seed is a pure function of (seed, i). A run is good if the file is read, or
refused by a VocoderError that names it on one line; anything else is a fault.
"""
