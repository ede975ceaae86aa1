"""Noise and augmentation that real and fake share before they are judged, one file per kind."""
