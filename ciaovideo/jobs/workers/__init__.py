"""Workers for tasks: processes of this machine (``local``) or of a Dask cluster (``cluster``).

Both follow ``protocol.Workers``; a ``Batch`` does not know which it has.
"""
