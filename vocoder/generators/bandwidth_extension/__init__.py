"""Generators that add the missing upper band to a recording."""
