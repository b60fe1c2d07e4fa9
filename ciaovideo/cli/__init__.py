"""The command line: parses words into configs, prints, and picks exit codes; nothing else does.

``main.py`` picks the command, ``options.py`` turns configs into options, ``progress.py`` draws, and
each command has a file of its own, or a folder with a ``command.py``, with ``build_parser`` and
``run``.
"""
