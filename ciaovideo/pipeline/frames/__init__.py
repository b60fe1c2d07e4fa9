"""Frames between reader and writer: change detection, computing in threads, composition.

``frame_maker.FrameMaker`` joins the ``stages``: ``changes`` finds the new parts of a frame,
``prefetch.ordered_map`` has threads compute them.
"""
