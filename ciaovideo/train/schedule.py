"""The learning rate as a function of the step."""

import math

from ciaovideo.train.options import OptimOptions

FLOOR = 0.01  # of the peak, at the end of a cosine


def learning_rate(step: int, options: OptimOptions) -> float:
    """The rate for step ``step`` (from 0): a linear warm-up, then the schedule."""
    peak = options.learning_rate
    if step < options.warmup:
        return peak * (step + 1) / options.warmup
    if options.schedule == "halving":
        return peak * 0.5 ** sum(step >= milestone for milestone in options.milestones)
    if options.schedule == "constant":
        return peak * min(1.0, (options.steps - step) / max(1, options.decay_steps))
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    fall = 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return peak * (FLOOR + (1 - FLOOR) * fall)
