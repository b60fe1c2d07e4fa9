"""Which encoder, with which layout, options and colours.

``table`` has a row for each encoder: what it takes and stores. ``choice`` decides on one for a
source, a container and a user's wishes; ``layouts`` finds the pixel layout that it takes,
``colors`` checks its colour tags, ``advice`` finds what works instead.
"""
