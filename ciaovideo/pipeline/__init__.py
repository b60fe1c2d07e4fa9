"""Connects the engine to media: reads frames, enlarges them, writes them in the same order.

``source.RunSource`` reads the source, ``decide.decide`` makes the ``plan.UpscalePlan`` before the
first frame, ``session.UpscaleRun`` carries it out, and ``verification`` compares the finished file
with its source. A ``session.Session`` keeps engines for the next run.

The path of a frame: ``media.VideoReader`` decodes it in a separate thread. ``engine.Renderer``,
called by ``frames.stages.FrameWorker``, enlarges its planes in one of several threads. The writer
that ``writers.open_writer`` chose (an encoder of PyAV, a system ffmpeg, or raw YUV4MPEG2) encodes
it in the caller's thread. ``frames.prefetch.ordered_map`` connects them: bounded, ordered,
cancellable; the threads are those of the engine's ``WorkerPool``.

On a GPU each worker has a CUDA stream of its own, so that one frame's upload, another's computing
and a third's download overlap; on a CPU each worker computes a whole frame on one core, which is
faster than all cores sharing one frame.
"""
