"""The output compared with its source: times, packets, colour tags, pictures.

``contract.Contract`` is the expected output. ``result.check_result`` makes it for a run, and the
public ``files.verify`` for two files. ``verify.verify_contract`` checks it: frame ``times``, the
other streams (``tracks``), some ``pictures``. ``witness`` detects a source that changes during a
run.
"""
