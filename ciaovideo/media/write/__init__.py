"""Frames to files: codecs, their choice, encoders and muxers."""
