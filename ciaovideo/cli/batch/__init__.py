"""``ciaovideo batch``: the command, and its output."""
