"""Parsers for facts of a file that FFmpeg does not report.

By format: ``ebml`` and ``editions`` (Matroska), ``elementary`` (streams without a container),
``loops`` (GIF, APNG), ``nut``, ``ogg``, ``tape`` (DV). For all: ``joined`` finds another recording
behind the first one, ``places`` chooses the bytes of a large file that are read.
"""
