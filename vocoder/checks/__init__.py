"""Checks of what configurations and saved states from anywhere contain."""
