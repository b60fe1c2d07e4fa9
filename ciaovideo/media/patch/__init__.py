"""Facts put into the header of a finished file, which FFmpeg's muxers write but PyAV cannot set."""
