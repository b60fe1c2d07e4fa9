"""What ``ciaovideo bench`` runs: each stage alone, then the whole, with machine and versions.

``harness.py`` measures one piece of work; ``cases.py`` says what is measured, ``floor.py`` what it
must take at least, ``growth.py`` how it grows and ``drawing.py`` draws that. Speed is measured
here and asserted nowhere: a busy machine must not fail a test.
"""
