"""Mels of any length and of many lengths: blocks in constant memory, ragged batches, files."""
