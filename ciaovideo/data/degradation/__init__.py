"""What pictures go through before anyone wants them enlarged, as functions on batches of tensors.

A picture is (B, 3, H, W) R'G'B' in [0, 1] on any device. Each function takes its parameters as
tensors (B,), one value for each picture, and a ``torch.Generator`` on the picture's device where it
draws a random field; nothing else is random. Lengths are pixels of the picture at hand.

- ``blur``: Gaussian, generalised, plateau-shaped and sinc kernels; unsharp masks
- ``resampling``: area, bilinear and bicubic, to a size of its own for each picture of a batch
- ``noise``: Gaussian and Poisson, gray or in colour; film grain
- ``jpeg``: what JPEG leaves of a picture, at a quality of its own for each
- ``film``: fading, flicker, gate weave, scratches, dust
- ``tape``: chroma subsampling, what deinterlacers leave over, video codecs on short clips
- ``chain``: all of it in a row, with drawn parameters, for training

The row is the second-order one of BSRGAN (Zhang et al., arXiv 2103.14006) and Real-ESRGAN (Wang et
al., arXiv 2107.10833), as CiaoSR (arXiv 2212.04362, section 5.4) trains on it, and between its two
halves what film suffers, at its end what video does.
"""
