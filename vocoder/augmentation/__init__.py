"""Discriminator augmentation: noise and transforms applied alike to real and fake signals."""
