"""Parsers for facts of a file that FFmpeg does not report."""
