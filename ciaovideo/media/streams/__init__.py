"""Everything beside the main video: which streams are kept, and how they are carried over."""
