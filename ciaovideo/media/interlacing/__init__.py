"""Frames of two fields, recognised and made whole.

``fields`` judges by flags and a sample of frames, ``pulldown`` knows when film's pictures are shown
in video's frames. ``whole_frames`` does what the policy says, with ``deinterlacer`` (video) or
``telecine`` (film).
"""
