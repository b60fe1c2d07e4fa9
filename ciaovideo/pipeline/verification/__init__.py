"""The output compared with its source: times, packets, colour tags, pictures.

``contract.Contract`` is what an output must be. ``result.check_result`` writes it for a run, and
``files.verify``, the public one, for two files. ``verify.verify_contract`` compares by it: frame
``times``, the streams beside the video (``tracks``), some ``pictures``. ``witness`` notices a
source that changes during a run.
"""
