"""Tests. Run them with `make test`, or `python -m pytest` in an environment with the test extra."""
