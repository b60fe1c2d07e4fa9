"""Reads the frames of a file.

``probe`` examines a file once: ``stream_choice`` finds the main video, ``head`` reads the packets
at the beginning. ``reader.VideoReader`` then yields the frames: ``decoding`` decodes them, from
where ``seeking`` proves that decoding can begin, and ``part`` plans a part of the file;
``continuity`` checks each picture against those before it; ``media.interlacing`` handles fields.
``picture_findings`` reports damage and losses of pictures. ``y4m_input`` reads a pipe in place of a
file.
"""
