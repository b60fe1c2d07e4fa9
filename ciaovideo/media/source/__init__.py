"""An opened source.

``opening`` opens it and finds the main video, ``header`` reads what it states, ``packets`` and
``pictures`` yield what it stores.
"""
