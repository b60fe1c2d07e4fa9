"""Detects interlaced and telecined video, and makes progressive frames of it.

``fields`` decides by flags and a sample of frames; ``pulldown`` computes when the pictures of
telecined film appear. ``whole_frames`` applies the policy, with ``deinterlacer`` (video) or
``telecine`` (film).
"""
