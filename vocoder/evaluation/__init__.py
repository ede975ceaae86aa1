"""Objective metrics of generated audio, one file each, and reports over folders."""
