"""``ciaovideo evaluate``: the command, and its suites."""
