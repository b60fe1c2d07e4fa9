"""Writes frames to files.

``output.Destination`` is the parsed output path, ``framing`` handles crops and padding. ``encoder``
makes packets, ``muxer`` writes them, ``writer`` does both, with or without segments; ``y4m`` writes
raw pictures. ``recompress`` encodes short clips in memory, for training and measuring.
"""
