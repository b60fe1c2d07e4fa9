"""Batches: many files, made by many processes, on one machine or on several.

The unit of work is a segment, the file that a resumable run keeps (``storage/segments``).
``inputs`` lists the jobs (``job.py``) and checks that no two have the same output; ``survey.py``
looks at all of them before the first is made. ``Batch`` (``batch.py``) hands tasks to workers. It
keeps the state of each open file (``work.py``) and of the whole (``progress.py``), whose time left
is estimated by ``forecast.py``, and records the results in the ``BatchLedger`` (``ledger.py``),
from which ``provenance.py`` writes the manifest. A
batch has one command at a time (``lock.py``), the only process that writes there, so SQLite is
enough, on network storage as well. ``tasks.py`` holds the tasks of a worker: plan a file, make a
segment, join a file. A worker keeps its network and its open source between tasks.

``workers/local.py`` runs tasks in processes of this machine, ``workers/cluster.py`` on a Dask
cluster; ``Batch`` does not know which. Finished segments are found on the disk, not in the ledger:
the next command continues with those of a killed one, as does ``upscale`` with ``resume``.
"""
