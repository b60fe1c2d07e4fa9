"""Files coded again at their own size, with all that comes beside the video."""

from dataclasses import replace
from pathlib import Path

from ciaovideo.media.codecs.choice import choose_codec
from ciaovideo.media.read.probe import probe
from ciaovideo.media.read.reader import VideoReader
from ciaovideo.media.selection import EVERYTHING, Selection
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from ciaovideo.media.write.writer import VideoTarget, VideoWriter
from ciaovideo.options import EncodeOptions
from ciaovideo.storage.atomic import atomic_output
from tests.places import container_of


def process(
    source: Path,
    output: Path,
    frames: int | None = None,
    part: Selection = EVERYTHING,
) -> StreamPlan:
    """Code every frame again at its own size, with all that the container takes beside it."""
    with VideoReader(facts := probe(source)) as reader:
        info, size = reader.info, (reader.info.height, reader.info.width)
        choice = choose_codec(
            EncodeOptions(preset="ultrafast"), container_of(output), info.pix_fmt, *size
        )
        plan = plan_streams(facts, container_of(output), replace(part, count=frames))
        with (
            atomic_output(output) as temporary,
            StreamCopier(plan) as beside,
            VideoWriter(temporary, VideoTarget.of(info, choice, size), beside) as writer,
        ):
            for frame in reader.frames(frames):
                if part.shows(frame.time):
                    writer.write(frame)
    return plan
