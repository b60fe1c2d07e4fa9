"""Pictures as tensors, and training batches made on the device that they lie on.

``images.py`` decodes pictures from folders, tars and zips, into one block of bytes for training,
and resizes as benchmarks do; ``clips.py`` has frames of videos. ``sampling.py`` cuts batches of LR
patches and HR query points out of such a block by gathers and products, so that a GPU is not kept
waiting for a processor that decodes pictures. ``degradation/`` makes LR patches look as film and
video do.
"""
