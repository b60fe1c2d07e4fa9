"""The way of the frames between reader and writer: compared, computed in threads, put together."""
