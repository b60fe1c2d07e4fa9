"""One batch of LR tensors to HR tensors, fast; knows nothing of video.

``Engine`` cuts a batch into tiles (``tiled.py``), encodes each, decodes the output pixels that its
core owns, and falls back to smaller tiles when memory runs out and to fp32 when a value is not
finite. The picture depends on the network and the precision alone; tile, batch and memory change
its last bits at most. With ``deterministic`` they change nothing.

``Renderer`` puts colour around it: planes in, larger planes out, for runs of video and for
``Upscaler``, which scripts and plug-ins hold. ``model_choice.py`` loads the network that a user's
options name. ``workers.py`` is the only pool of threads that compute. Flags of the whole process
are set only while an engine computes (``flags.py``).
"""
