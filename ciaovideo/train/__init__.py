"""Training: a recipe (TOML) to weights, resumable to the bit on a CPU.

``recipe.py`` holds what can be set, and ``recipes/`` the recipes that come with the package;
``schedule.py`` the learning rate; ``losses.py`` what is minimised, ``discriminator.py`` the network
that judges; ``loop.py`` the run; ``state.py`` the checkpoint. A run lives in a folder of its own
and owns three files there: ``state.pt``, all that decides what comes next, ``weights.safetensors``,
the averaged weights so far, and ``log.csv``, a line of step and loss for each time it saved.
Whatever stops a run, the same call goes on from the last ``state.pt``, and ends with the weights
that an uninterrupted run would have had.
"""
