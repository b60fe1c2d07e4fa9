"""Frames between reader and writer: change detection, computing in threads, composition."""
