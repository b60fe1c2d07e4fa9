"""Image sequences: numbered pictures that are one video, ``frames/%06d.dpx``.

FFmpeg's demuxer reads them. It ends at the first number that is missing, and at an empty file,
without a word: ``numbered.py`` looks at the folder itself. What a sequence has no clock for is
``Opening.rate``. ``dpx.py`` knows the header of DPX, of which FFmpeg passes on a part and writes
less. Frames are written by ``writer.py``: a packet of an encoder for pictures is a file.
"""
