"""Languages stay in every container, under a code that it knows, or are told as lost."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from ciaovideo.media.containers import CONTAINERS
from ciaovideo.media.streams.languages import OTHER, held_language
from ciaovideo.media.streams.plan import plan_streams
from tests.found import losses_of
from tests.places import container_of


@pytest.mark.parametrize(
    ("container", "language", "held"),
    [
        ("mov", "eng", "eng"),
        ("mov", "deu", "ger"),  # QuickTime's list has the English name's code of this one
        ("mov", "fre", "fra"),  # and the language's own of that
        ("mov", "yue", ""),
        ("mp4", "yue", "yue"),
        ("mp4", "deu", "deu"),
        ("mp4", "en-US", ""),
        ("matroska", "en-US", "en-US"),
        ("mov", "und", "und"),
        ("mov", "", ""),
    ],
)
def test_a_code_that_the_container_knows(container: str, language: str, held: str) -> None:
    assert held_language(CONTAINERS[container], language) == held


def test_each_code_has_one_other() -> None:
    assert len(OTHER) == 40
    assert all(OTHER[OTHER[code]] == code != OTHER[code] for code in OTHER)


@pytest.mark.parametrize("language", ["deu", "yue"])
def test_a_lost_language_is_told_before_the_start(tmp_path: Path, language: str) -> None:
    source = tmp_path / "in.mkv"
    with av.open(source, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        stream.metadata["language"] = language
        video = container.add_stream("ffv1", rate=25)
        video.width, video.height, video.pix_fmt = 16, 16, "yuv420p"
        frame = av.VideoFrame(16, 16, "yuv420p")
        frame.pts, frame.time_base = 0, Fraction(1, 25)
        sound = av.AudioFrame(format="s16", layout="mono", samples=8)
        sound.sample_rate = 8000
        container.mux([*stream.encode(sound), *video.encode(frame), *video.encode(None)])
    plan = plan_streams(source, container_of(".mov"), 1)
    assert losses_of(plan.findings) == ([] if language == "deu" else ["audio 0"])
    assert not losses_of(plan_streams(source, container_of(".mkv"), 1).findings)
