"""``ciaovideo bench``: each stage alone, then the whole run, with machine and versions.

``harness.py`` measures one piece of work. ``cases.py`` lists the measurements. ``floor.py`` gives a
lower bound for the network's time. ``growth.py`` fits the growth of cost, ``drawing.py`` draws it.
No test asserts speed: a busy machine must not fail one.
"""
