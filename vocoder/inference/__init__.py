"""Inference: loaded models for whole signals, files and live streams."""
