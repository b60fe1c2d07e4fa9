"""Training: a recipe (TOML) to weights, resumable to the bit on a CPU.

``recipe.py`` holds what can be set, and ``recipes/`` the recipes that come with the package.
``loop.py`` is the run: for each step ``gradients/`` draws a batch and computes the gradients of
what ``objective/`` minimises, ``optimizer.py`` takes the step at the rate of ``schedule.py``, and
``report/`` writes it down. ``state.py`` is the checkpoint, ``ranks.py`` several processes that
train one network, ``start.py`` the beginning with another network's weights.

A run lives in a folder of its own and owns these files there: ``state.pt``, all that decides what
comes next; ``weights.safetensors``, the averaged weights so far, and ``best.safetensors``, those
with the best PSNR where a validation folder is set; ``first-stage.safetensors``, those before the
second stage of a recipe that has one; ``log.csv`` (step, loss) and
``validation.csv`` (step, scale, PSNR), TensorBoard's files in ``tensorboard/`` where that package
is installed, and ``curves.png`` whenever a run ends. However a run stops, the same call
resumes it from the last ``state.pt``, and it ends with the weights of an uninterrupted run.
Validation does not change them.
"""
