"""Patches header fields of a finished file that FFmpeg supports but PyAV cannot set."""
