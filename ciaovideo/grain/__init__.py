"""Film grain: measured in a source, and added to an enlarged picture that has lost it.

Grain is modelled as noise that differs in every frame. Its strength is measured for ``BANDS`` of
luma and for three octaves of detail (``octaves``), since film has more of it in middle tones, and
since networks remove its finest part first. ``measure`` finds it in pairs of frames, ``noise``
generates it at the output's scale, and ``adding`` adds it to finished planes.

Luma here is in steps of 8 bits, black 0 and white 255, whatever the depth and range.
"""
