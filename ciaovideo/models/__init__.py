"""Networks: tensors in, tensors out; no time, no choice of device.

An encoder turns an LR picture into latent codes, a decoder answers for the colour at any point,
and ``implicit.ImplicitSR`` joins the two with the bilinear residual. ``checkpoints.py`` reads
and writes weights, ``published.py`` reads those of the published programs; nothing else does.
"""
