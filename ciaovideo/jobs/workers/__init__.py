"""Who carries out tasks: processes of this machine (``local``) or a Dask cluster (``cluster``).

Both follow ``protocol.Workers``, and a ``Batch`` does not know which it has.
"""
