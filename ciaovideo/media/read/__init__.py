"""Files to frames.

``probe`` looks at a file once: ``choosing`` finds the main video, ``head`` reads the packets at the
beginning, ``fields`` judges interlacing. ``reader.VideoReader`` then decodes it, from where
``seeking`` proves that decoding can begin, through ``deinterlacer``; ``picture_findings`` reports
what is odd about its pictures. ``y4m_input`` is a pipe in place of a file.
"""
