"""Chooses encoders, with their layouts, options and colours.

``table`` has a row of facts for each encoder. ``choice`` selects one for a source, a container and
the user's options; ``layouts`` finds a pixel layout that it supports, ``colors`` checks its colour
tags, ``advice`` finds alternatives that work.
"""
