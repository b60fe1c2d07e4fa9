"""``ciaovideo bench``: each stage alone, then the whole run, with machine and versions.

``harness.py`` measures one piece of work. ``cases.py`` lists what is measured. ``floor.py`` gives
the least time that the network's work can take. ``growth.py`` fits how cost grows, ``drawing.py``
draws it. No test asserts speed: a busy machine must not fail one.
"""
