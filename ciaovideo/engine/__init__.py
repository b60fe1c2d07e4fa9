"""One batch of LR tensors to HR tensors, fast; knows nothing of video.

``Engine`` cuts a batch into tiles, encodes each, decodes the output pixels that its core owns, and
falls back to smaller tiles when memory runs out and to fp32 when a value is not finite. The picture
depends on the network and the precision alone, never on tile, batch or memory.

``Upscaler`` joins a network and an engine for scripts and plug-ins; ``picture.py`` is what it
takes, ``workers.py`` the threads behind ``submit``, shared by all who ask for the same network.
"""
