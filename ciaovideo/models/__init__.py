"""Networks: tensors in, tensors out; no time, no choice of device.

``protocols.py`` says what a network is to the engine and what its halves are to it. An encoder
turns an LR picture into latent codes, a decoder answers for the colour at any point, and
``networks.implicit`` joins the two with the bilinear residual; other networks stand beside it.
``spec.py`` names a network in a file of weights, ``weights.py`` reads and writes such files and
knows the bundled ones, ``foreign/`` reads those of other programs; nothing else does.
``consistency.py`` is a network that corrects the pictures of another.
"""
