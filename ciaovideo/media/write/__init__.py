"""Frames to files.

``output.Destination`` is where, ``framing`` what is cut off or added around pictures. ``encoder``
makes packets, ``muxer`` writes them, ``writer`` is both, with or without segments; ``y4m`` is bare
pictures. ``recompress`` codes short clips for training and measuring, in memory.
"""
