"""``ciaovideo batch``: the command, and how it prints what it does."""
