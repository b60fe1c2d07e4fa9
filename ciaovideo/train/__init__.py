"""Training: a recipe (TOML) to weights, resumable to the bit on a CPU.

``options.py`` holds the settings, ``recipe.py`` reads them from TOML (``recipes/``). ``loop.py`` is
the run: for each step ``gradients/`` draws a batch and computes the gradients of the loss in
``objective/``, ``optimizer.py`` takes the step at the rate of ``schedule.py``, and ``report/``
records it. ``state.py`` is the checkpoint, ``ranks.py`` training by several processes, ``start.py``
the initialisation from another network's weights.

A run has a folder of its own with these files: ``state.pt``, the checkpoint;
``weights.safetensors``, the averaged weights so far; ``best.safetensors``, those with the best
PSNR, with a validation folder; ``first-stage.safetensors``, those before the second stage of a
two-stage recipe; ``log.csv`` (step, loss) and ``validation.csv`` (step, scale, PSNR); TensorBoard's
files in ``tensorboard/`` if that package is installed; ``curves.png`` at the end of a run. However
a run stops, the same call resumes it from the last ``state.pt``, and it ends with the weights of an
uninterrupted run. Validation does not change them.
"""
