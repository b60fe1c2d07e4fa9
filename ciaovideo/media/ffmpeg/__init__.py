"""The ffmpeg program of the system as one more encoder."""
