"""EQSR: ``network.py`` is the whole, the others are its parts, which nobody else has."""
