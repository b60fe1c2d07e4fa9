"""The command line: only it parses arguments, prints, and chooses exit codes.

``main.py`` selects the command, ``options.py`` makes options from configs, ``progress.py`` draws
progress. Each command has its own file, or a folder with a ``command.py``, with ``build_parser``
and ``run``.
"""
