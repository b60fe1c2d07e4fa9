"""Sound in another coding: the same samples at the same times, as many of them."""

from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from ciaovideo.errors import DecodeError, EncodeError
from ciaovideo.findings import Kind
from ciaovideo.media.clock import exact
from ciaovideo.media.read.probe import probe
from ciaovideo.media.streams.copier import StreamCopier
from ciaovideo.media.streams.plan import StreamPlan, plan_streams
from ciaovideo.media.streams.sound import SoundTranscoder
from tests.fillers import gray_stream, mux_gray
from tests.found import losses_of
from tests.places import container_of

RATE = 48000
AAC_PRIMING = 1024
SLACK = RATE // 1000  # Matroska counts milliseconds
FILLER = {".webm": "libvpx", ".mkv": "mpeg4", ".mp4": "mpeg4", ".mov": "mpeg4"}
type Samples = NDArray[np.float64]  # (channels, samples)


def chirp(count: int, channels: int) -> Samples:
    """A tone that rises, another in each channel: any shift shows."""
    t = np.arange(count) / RATE
    return np.stack(
        [0.4 * np.sin(2 * np.pi * (200 * (n + 1) * t + 300 * t**2)) for n in range(channels)]
    )


def sound_file(
    path: Path, codec: str, *, layout: str = "stereo", start: int = 0, seconds: float = 1.0
) -> Samples:
    """A file with two pictures and sound that begins ``start`` samples after them."""
    count = av.AudioLayout(layout).nb_channels
    samples = chirp(round(RATE * seconds), count)
    with av.open(path, "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = cast(AudioStream, container.add_stream(codec, rate=RATE))
        sound.codec_context.layout = layout
        if codec == "wmav2":
            sound.codec_context.bit_rate = 128_000
        for number in range(2):
            picture = av.VideoFrame(64, 48, "yuv420p")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(video.encode(picture))
        interleaved = samples.T.reshape(1, -1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
        container.mux(sound.encode(frame))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return samples


def transcoded(source: Path, output: Path) -> StreamPlan:
    """Copy all but the video, sound by the policy auto."""
    plan = plan_streams(probe(source), container_of(output), sound="auto")
    with StreamCopier(plan) as copier, av.open(output, "w") as container:
        copier.declare_before(container)
        filler = gray_stream(container, FILLER[output.suffix])
        copier.declare_after(container, filler)
        container.start_encoding()
        mux_gray(container, filler)
        copier.finish(Fraction(0))
    return plan


def heard(path: Path) -> tuple[Fraction, str, Samples]:
    """When the sound begins, its layout, and its samples in [-1, 1]."""
    parts, start, layout = [], None, ""
    with av.open(path) as container:
        for frame in container.decode(audio=0):
            tick = exact(frame.time_base)
            assert frame.pts is not None
            assert tick is not None
            start = frame.pts * tick if start is None else start
            layout = frame.layout.name
            resampler = av.AudioResampler("flt", frame.layout, frame.sample_rate)
            count = frame.layout.nb_channels
            parts += [p.to_ndarray().reshape(-1, count).T for p in resampler.resample(frame)]
    assert start is not None
    return start, layout, np.concatenate(parts, axis=1).astype(np.float64)


@pytest.mark.parametrize("start", [0, 4800])
@pytest.mark.parametrize(
    ("codec", "come", "go", "becomes", "tolerance"),
    [
        ("wavpack", ".mkv", ".mp4", "alac", 0),
        ("flac", ".mkv", ".mov", "alac", 0),
        ("libopus", ".mkv", ".mov", "aac", 0.05),
        ("pcm_s16le", ".mkv", ".webm", "libopus", 0.05),
        ("aac", ".mp4", ".webm", "libopus", 0.05),
        ("pcm_mulaw", ".mov", ".mkv", "flac", 0),
        ("adpcm_ima_qt", ".mov", ".mkv", "flac", 0),
        ("pcm_f64be", ".mov", ".mkv", "flac", 2**-22),
        ("aac", ".mp4", ".mkv", "", 0.0),
    ],
)
@pytest.mark.heavy
def test_samples_keep_their_times(
    tmp_path: Path, codec: str, come: str, go: str, becomes: str, tolerance: float, start: int
) -> None:
    source, output = tmp_path / f"in{come}", tmp_path / f"out{go}"
    sound_file(source, codec, start=start)
    plan = transcoded(source, output)
    assert [info.becomes for info in plan.kept] == [becomes]
    assert bool(losses_of(plan.findings)) == (codec == "pcm_f64be")
    begin, layout, given = heard(source)
    made_begin, made_layout, made = heard(output)
    assert made_layout == layout or layout == "2 channels"  # which nobody named
    # Where sound begins late, mp4 cannot hide the priming: it is heard as silence before.
    primed = round((begin - made_begin) * RATE)
    assert primed <= (AAC_PRIMING + SLACK if start else SLACK)
    assert abs(made.shape[1] - primed - given.shape[1]) <= 1024  # the last packet may be filled up
    error = (made[:, max(primed, 0) :][:, : given.shape[1]] - given)[:, 2000:-2000]
    assert np.sqrt((error**2).mean()) <= tolerance


@pytest.mark.parametrize(
    ("codec", "go", "layout", "becomes"),
    [
        ("wavpack", ".mp4", "mono", "alac"),
        ("wavpack", ".mp4", "5.1", "alac"),
        ("wavpack", ".mp4", "5.1(side)", "aac"),  # which calls it 5.1
        ("wavpack", ".mov", "7.1", "aac"),
        ("wavpack", ".webm", "5.1", "libopus"),
    ],
)
@pytest.mark.heavy
def test_the_channels_stay(tmp_path: Path, codec: str, go: str, layout: str, becomes: str) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{go}"
    sound_file(source, codec, layout=layout, seconds=0.5)
    plan = transcoded(source, output)
    assert [info.becomes for info in plan.kept] == [becomes]
    assert heard(source)[1] == layout
    assert heard(output)[1] == layout.replace("(side)", "")


@pytest.mark.parametrize(("go", "becomes"), [(".mkv", "flac"), (".mp4", "aac")])
def test_sound_without_a_layout_and_a_last_time_is_transcoded(
    tmp_path: Path, go: str, becomes: str
) -> None:
    """WMA: its files tell only how many channels there are, its decoder ends without a time."""
    source, output = tmp_path / "in.asf", tmp_path / f"out{go}"
    sound_file(source, "wmav2")
    plan = transcoded(source, output)
    assert [info.becomes for info in plan.kept] == [becomes]
    with av.open(source) as container:
        frames = list(container.decode(audio=0))
    assert {frame.layout.name for frame in frames} == {"2 channels"}
    assert frames[-1].pts is None
    _, layout, made = heard(output)
    assert layout == "stereo"
    assert 0 <= made.shape[1] - sum(frame.samples for frame in frames) <= 2 * AAC_PRIMING


def test_what_to_do_about_sound_is_not_what_was_done(tmp_path: Path) -> None:
    source = tmp_path / "in.asf"
    sound_file(source, "wmav2", seconds=0.1)
    with pytest.raises(EncodeError, match="sound") as caught:
        plan_streams(probe(source), container_of(".mkv"))
    assert caught.value.hint == "transcode the sound (audio auto)"


def test_sound_is_not_transcoded_unasked(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    sound_file(source, "wavpack", seconds=0.1)
    with pytest.raises(EncodeError, match=r"audio auto"):
        plan_streams(probe(source), container_of(".mp4"))
    with pytest.raises(EncodeError, match=r"in \.mkv$"):
        plan_streams(probe(source), container_of(".avi"), sound="auto")


@pytest.mark.parametrize("go", [".mov", ".webm"])
@pytest.mark.heavy
def test_a_stream_of_sound_stays_in_step_over_many_packets(tmp_path: Path, go: str) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / f"out{go}"
    sound_file(source, "libopus" if go == ".mov" else "ac3", seconds=8)
    transcoded(source, output)
    (begin, _, given), (made_begin, _, made) = heard(source), heard(output)
    assert abs(made_begin - begin) <= Fraction(1, 1000)
    assert abs(made.shape[1] - given.shape[1]) <= 1024
    middle = slice(RATE * 7, RATE * 7 + 4096)  # 200 packets later, at 4 kHz: no sample may be off
    assert np.abs(made[:, middle] - given[:, middle]).max() < 0.05


def first_sound(container: InputContainer) -> "Packet[Stream]":
    return next(p for p in container.demux() if p.size and p.stream.type == "audio")


def test_sound_that_changes_its_format_is_made_like_the_first(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    sound_file(source, "wavpack", seconds=0.1)
    with av.open(source) as given, av.open(output, "w") as container:
        transcoder = SoundTranscoder(container, given.streams.audio[0], "aac")
        container.start_encoding()
        made = list(transcoder.convert(first_sound(given)))
        assert not transcoder.findings
        mono = tmp_path / "mono.mkv"
        sound_file(mono, "wavpack", layout="mono", seconds=0.1)
        with av.open(mono) as other:
            changed = first_sound(other)
            changed.pts, changed.time_base = 100, Fraction(1, 1000)
            made += [*transcoder.convert(changed), *transcoder.flush()]
        container.mux(made)
    (found,) = transcoder.findings
    assert (found.kind, found.at) == (Kind.CHANGED, Fraction(1, 10))
    with av.open(output) as container:
        seconds = sum(Fraction(f.samples, f.sample_rate) for f in container.decode(audio=0))
    assert Fraction(1, 5) <= seconds < 0.23  # AAC's last frame is filled up: 1024 samples


def test_damaged_sound_is_an_error_of_ours(tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    sound_file(source, "ac3", seconds=0.1)
    with av.open(source) as given, av.open(tmp_path / "out.webm", "w") as container:
        transcoder = SoundTranscoder(container, given.streams.audio[0], "libopus")
        container.start_encoding()
        with pytest.raises(DecodeError, match=r"sound .*in\.mkv"):
            list(transcoder.convert(av.Packet(b"\0" * 500)))


@pytest.mark.parametrize("go", [".mp4", ".mov", ".mkv"])
@pytest.mark.parametrize(
    ("codec", "come", "layout"),
    [
        ("pcm_s16le", ".mkv", "stereo"),  # Matroska and AVI tell how many channels, not which
        ("pcm_s24le", ".mkv", "5.1"),
        ("pcm_f32le", ".mkv", "mono"),
        ("pcm_s16le", ".avi", "mono"),
    ],
)
@pytest.mark.heavy
def test_pcm_stays_as_it_is(tmp_path: Path, codec: str, come: str, layout: str, go: str) -> None:
    source, output = tmp_path / f"in{come}", tmp_path / f"out{go}"
    sound_file(source, codec, layout=layout, seconds=0.25)
    plan = transcoded(source, output)
    assert [info.becomes for info in plan.kept] == [""]
    with av.open(output) as container:
        assert container.streams.audio[0].codec_context.name == codec
    (_, _, given), (_, _, made) = heard(source), heard(output)
    assert np.array_equal(given, made)


def test_sound_that_fails_with_the_last_byte_is_known_before(tmp_path: Path) -> None:
    source, output = tmp_path / "in.mkv", tmp_path / "out.mp4"
    sound_file(source, "pcm_s16le", layout="9 channels", seconds=0.25)  # no usual layout has nine
    with pytest.raises(EncodeError, match="sound"):
        plan_streams(probe(source), container_of(output))
