"""Batches: many files, made by many processes, on one machine or on several.

The unit of work is a segment, the file that a resumable run keeps (``storage/segments``).
``inputs`` lists the jobs and checks that no two have the same output. ``Batch`` (``batch.py``)
hands tasks to workers and writes what comes back into the ``BatchLedger`` (``ledger.py``). It is
the only process that writes there, so SQLite is enough, on network storage as well. ``tasks.py`` is
all that runs in a worker: look at a file, make a segment, join a file. A worker keeps its network
and the source that it reads between tasks.

``workers.py`` runs tasks in processes of this machine, ``cluster.py`` on a Dask cluster; ``Batch``
does not know which. Segments are found on the disk and not in the ledger: what a killed command
finished is there for the next one, and for ``upscale`` with ``resume``.
"""
