"""Frames of two fields: recognised, and made whole pictures, of video or of film."""
