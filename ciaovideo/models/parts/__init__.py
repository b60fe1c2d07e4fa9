"""Parts that several networks share.

Decoders by points: ``points`` reads the codes around a query, ``corners`` the four nearest ones,
``mlp`` makes colours of them; ``blocks`` bounds the memory of a grid of queries, ``matrices`` saves
products on it. Attention: ``cross_scale_attention`` (non-local), ``linear_attention``. Features:
``bi_dense``; ``fixed_scale`` for networks of one whole scale. For tiles: ``receptive`` (how far
features see) and ``frame_means`` (means over the whole frame).
"""
