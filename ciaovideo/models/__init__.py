"""Networks: tensors in, tensors out; no time, no choice of device.

``protocols.py`` defines what the engine may rely on in a network, and a network in its halves. An
encoder turns an LR picture into latent codes, a decoder makes the colour at any point, and
``networks.implicit`` joins the two with the bilinear residual; other networks stand beside it.

``weights.py`` loads bundled networks and files of weights, and saves them: ``spec.py`` is the
network's description in such a file, ``tensor_file.py`` its format. ``foreign/`` reads files of
other programs. ``restoration.py`` mixes the weights of two networks, ``growth.py`` gives them one
depth.
"""
