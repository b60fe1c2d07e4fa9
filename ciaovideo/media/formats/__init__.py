"""What the bytes of a file say that FFmpeg does not tell, read without it."""
