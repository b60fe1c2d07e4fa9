"""EQSR: ``network.py`` is the whole, the other files are parts that only it uses."""
