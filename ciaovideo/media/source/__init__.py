"""An opened source, as FFmpeg describes and decodes it.

``opening`` opens it and finds the main video, ``header`` reads what it states, ``packets`` and
``pictures`` yield what it stores.
"""
