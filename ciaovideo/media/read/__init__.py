"""Packets to frames: one look at a file, decoding, seeking, and the reader of the main video."""
