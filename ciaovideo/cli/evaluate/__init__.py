"""``ciaovideo evaluate``: the command, and what it does for a suite."""
