"""Image sequences: numbered pictures that are one video, ``frames/%06d.dpx``.

FFmpeg's demuxer reads them. It silently ends at the first missing number and at an empty file, so
``numbered.py`` checks the folder. A sequence has no clock; ``Opening.rate`` provides it. ``dpx.py``
parses and writes the header of DPX, which FFmpeg supports only in part. ``writer.py`` writes each
packet of a picture encoder as a file; the files get their places together (``storage.atomic``).
"""
