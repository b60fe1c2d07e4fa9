"""Packets to frames: opening, seeking, fields, and the reader of the main video."""
