"""The system's ffmpeg program as one more encoder."""
