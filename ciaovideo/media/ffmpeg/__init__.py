"""The system's ffmpeg program: one more encoder, and the commands that hints suggest."""
