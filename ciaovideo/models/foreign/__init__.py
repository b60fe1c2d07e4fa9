"""Published layouts of weights, one module each: they become ours when they are read."""
