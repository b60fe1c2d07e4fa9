"""Introduces the engine to media: frames in, the same frames larger out, in the same order.

``source.RunSource`` is what is read, ``decide.decide`` makes the ``plan.UpscalePlan`` before the
first frame, ``session.UpscaleRun`` carries it out, and ``verification`` compares the finished file
with its source. A ``session.Session`` keeps engines for the next run.

The way of a frame: ``media.VideoReader`` decodes it in a thread of its own; ``engine.Renderer``,
called by ``frames.stages.FrameWorker``, makes its planes larger in one of several threads; the
writer that ``writers.open_writer`` chose (an encoder of PyAV's, a system ffmpeg, or bare
YUV4MPEG2) takes it in the caller's thread. ``frames.prefetch.ordered_map`` is what lies between:
bounded, ordered, cancellable; the threads are those of the engine's ``WorkerPool``.

On a GPU each worker has a CUDA stream of its own, so that one frame's upload, another's computing
and a third's download overlap; on a CPU each worker computes a whole frame on one core, which is
faster than all cores sharing one frame.
"""
