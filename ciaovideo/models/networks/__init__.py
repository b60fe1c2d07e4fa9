"""Whole networks: LR image in, colour at any point out."""
