"""Frames to files.

``output.Destination`` is where. ``codecs`` has a row for each encoder, ``codec_choice`` decides on
one, ``colors`` checks its colour tags, ``advice`` finds what works instead. ``encoder`` makes
packets, ``muxer`` writes them, ``writer`` is both, with or without segments; ``y4m`` is bare
pictures. ``recompress`` codes short clips for training and measuring, in memory.
"""
