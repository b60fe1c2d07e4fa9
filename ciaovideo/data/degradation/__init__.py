"""Degradations of training pictures, as functions on batches of tensors.

A picture is (B, 3, H, W) R'G'B' in [0, 1] on any device. Each function takes its parameters as
tensors (B,), one value for each picture, and a ``torch.Generator`` on the picture's device where it
draws a random field; nothing else is random. Lengths are pixels of the picture at hand.

- ``blur``: Gaussian, generalised, plateau-shaped and sinc kernels; unsharp masks
- ``resampling``: area, bilinear and bicubic, to a size of its own for each picture of a batch
- ``noise``: Gaussian and Poisson, gray or in colour; film grain
- ``jpeg``: JPEG, each picture at its own quality
- ``film``: fading, flicker, gate weave, scratches, dust
- ``tape``: chroma subsampling, residual combing, video codecs on short clips
- ``chain``: all of these in a row, with drawn parameters, for worn film and video
- ``coded``: a resize, 4:2:0 and one codec, for video that was only coded
- ``mixture``: one of several, drawn for each group of patches
- ``draws``: random parameters of a batch

``chain`` is the second-order one of BSRGAN (Zhang et al., arXiv 2103.14006) and Real-ESRGAN (Wang
et al., arXiv 2107.10833), as CiaoSR (arXiv 2212.04362, section 5.4) trains on it, with the
degradations of film between its two halves and those of video at its end.
"""
