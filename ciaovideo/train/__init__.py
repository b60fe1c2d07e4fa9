"""Training: a recipe (TOML) to weights, resumable to the bit on a CPU.

``recipe.py`` holds what can be set, and ``recipes/`` the recipes that come with the package;
``schedule.py`` the learning rate; ``losses.py`` what is minimised, ``discriminator.py`` the network
that judges; ``loop.py`` the run; ``state.py`` the checkpoint; ``validation.py`` PSNR on the way,
``record.py`` the logs, ``curves.py`` the picture at the end.

A run lives in a folder of its own and owns these files there: ``state.pt``, all that decides what
comes next; ``weights.safetensors``, the averaged weights so far, and ``best.safetensors``, those
with the best PSNR where a validation folder is set; ``first-stage.safetensors``, those before the
second stage of a recipe that has one; ``log.csv`` (step, loss) and
``validation.csv`` (step, scale, PSNR), TensorBoard's files in ``tensorboard/`` where that package
is installed, and ``curves.png`` whenever a run ends. Whatever stops a run, the same call goes on
from the last ``state.pt``, and ends with the weights that an uninterrupted run would have had:
measuring changes nothing of it.
"""
