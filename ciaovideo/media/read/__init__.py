"""Files to frames.

``probe`` looks at a file once: ``stream_choice`` finds the main video, ``head`` reads the packets
at the beginning. ``reader.VideoReader`` then hands out its frames: ``decoding`` decodes them, from
where ``seeking`` proves that decoding can begin, ``continuity`` holds each picture against those
before it, and fields are the business of ``media.interlacing``. ``picture_findings`` reports what
is odd about pictures. ``y4m_input`` is a pipe in place of a file.
"""
