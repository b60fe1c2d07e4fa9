"""Pictures as tensors, and training batches made on the device that they lie on.

``images.py`` decodes pictures from folders, tars and zips into one block of bytes for training, and
resizes as benchmarks do; ``clips.py`` has frames of videos, ``pairs.py`` HR and LR for measuring.
``sampling.py`` cuts batches of LR patches and HR query points out of such a block by gathers and
products, so that a GPU does not wait for a processor that decodes pictures; ``lattice.py`` cuts
batches whose query points are rows and columns. ``degradation/`` makes LR patches look like film
and video.
"""
