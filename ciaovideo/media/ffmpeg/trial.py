"""Whether a system ffmpeg can store the other streams in a container, found by a trial.

It may be older than PyAV's FFmpeg and support less: PCM in mp4 came with FFmpeg 6.1 (5.1 fails with
"could not find tag"). Some versions write sound whose last packet players drop: FFmpeg 5.1 stores
no duration for the shortened last packet of Opus. It also subtracts the priming of Opus twice from
mp4 to Matroska, so that the sound is 6.5 ms early. The trial copies the first second, which must
begin when its source does, and for mp4 and mov also the last one, which must give back as many
packets as Matroska does.
"""

import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import av.error
from av.container import InputContainer

from ciaovideo.errors import EncodeError
from ciaovideo.findings import Finding, Kind
from ciaovideo.media.clock import exact
from ciaovideo.media.containers import MATROSKA, Container
from ciaovideo.media.ffmpeg.program import ExternalEncoder
from ciaovideo.media.ffmpeg.streams import carried
from ciaovideo.media.frame import StreamInfo
from ciaovideo.media.source.opening import open_source
from ciaovideo.media.streams.plan import StreamPlan
from ciaovideo.media.streams.sound import sound_codecs
from ciaovideo.options import SoundPolicy

SECOND = ("-t", "1")  # of what is read
LAST = ("-sseof", "-1")
AS_IT_IS = ("-copyts", *SECOND)  # with the times that it has
PRIMED = "opus"  # the codec whose first packets only prime the decoder, and begin before zero
SLACK = Fraction(2, 1000)  # seconds that rounding may move a packet by
TRIAL_S = 60.0
ELSEWHERE = "end the output's name in .mkv"
TRANSCODED = "transcode the sound (audio auto)"


def held_by(encoder: ExternalEncoder, plan: StreamPlan, sound: SoundPolicy) -> StreamPlan:
    """The plan with the streams that this ffmpeg can store; ``auto`` may transcode sound.

    Raises EncodeError for other sound that it cannot store. Other streams are dropped, each with a
    finding.
    """
    plan = carried(plan)
    if not plan.kept or not _failing(encoder, plan, plan.kept):
        return plan
    kept: list[StreamInfo] = []
    dropped: list[StreamInfo] = []
    for info in plan.kept:
        ways = (way for way in _ways(plan, info, sound) if not _failing(encoder, plan, (way,)))
        found = next(ways, None)
        if found is not None:
            kept.append(found)
        elif info.kind == "audio":
            ways_on = [] if plan.container is MATROSKA else [ELSEWHERE]
            ways_on += [] if sound == "auto" else [TRANSCODED]
            problem = f"the system's ffmpeg cannot store {info} in {plan.container}"
            raise EncodeError(problem, ", or ".join(ways_on) or "choose a codec instead")
        else:
            dropped.append(info)
    changed = [info for info in kept if info not in plan.kept]
    findings = [
        *(f for f in plan.findings if f.subject not in {info.name for info in changed}),
        *(Finding(kind=Kind.CHANGED, subject=i.name, text=str(i)) for i in changed),
        *(_left_out(info, plan.container) for info in dropped),
    ]
    both = (*plan.dropped, *dropped)
    return replace(plan, kept=tuple(kept), dropped=both, findings=tuple(findings))


def _left_out(info: StreamInfo, container: Container) -> Finding:
    text = f"{info}: dropped, the system's ffmpeg cannot store it in {container}"
    return Finding(kind=Kind.LOST, subject=info.name, text=text)


def _ways(plan: StreamPlan, info: StreamInfo, sound: SoundPolicy) -> Iterator[StreamInfo]:
    """A stream as planned and, where allowed, in other codecs."""
    yield info
    if info.kind == "audio" and sound == "auto":
        with open_source(plan.source, plan.opening) as container:
            codecs = sound_codecs(plan.container, container.streams[info.index])
        for codec in codecs:
            yield replace(info, becomes=codec)


def _failing(encoder: ExternalEncoder, plan: StreamPlan, infos: Sequence[StreamInfo]) -> bool:
    """Whether ffmpeg fails with these streams, or loses any of their last packets."""
    with TemporaryDirectory(prefix="ciaovideo-") as name:
        trial = Path(name) / f"trial{plan.container.suffix}"
        if not _copies(encoder, plan, infos, trial, SECOND):
            return True
        if plan.selection.cut:  # which ffmpeg reads from another file
            return False
        if not plan.container.iso:
            primed = tuple(info for info in infos if info.codec == PRIMED and not info.becomes)
            if not primed:
                return False
            written = _copies(encoder, plan, primed, trial, AS_IT_IS)
            return not written or _moved(plan, primed, trial)
        copied = tuple(info for info in infos if info.kind == "audio" and not info.becomes)
        control = Path(name) / f"trial{MATROSKA.suffix}"
        if not copied or not _copies(encoder, plan, copied, control, LAST):
            return False  # no evidence: not every file can be read from its end
        return not _copies(encoder, plan, copied, trial, LAST) or _counts(trial) != _counts(control)


def _copies(
    encoder: ExternalEncoder,
    plan: StreamPlan,
    infos: Sequence[StreamInfo],
    path: Path,
    part: Sequence[str],
) -> bool:
    """Whether ffmpeg writes a part of some streams into a file."""
    container = next(row for row in (plan.container, MATROSKA) if path.suffix in row.suffixes)
    words = [encoder.program, "-v", "error", "-nostdin", "-y", *part]
    words += ["-i", f"file:{plan.source.resolve()}"]
    words += ["-avoid_negative_ts", "disabled"] if part is AS_IT_IS else []
    for place, info in enumerate(infos):
        words += ["-map", f"0:{info.index}", f"-c:{place}", info.becomes or "copy"]
    allowing = [(name, value) for name, value in encoder.options if name.startswith("strict")]
    words += [word for name, value in allowing for word in (f"-{name}", value) if word]
    try:
        done = subprocess.run(
            [*words, "-f", container.name, f"file:{path}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=TRIAL_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def _moved(plan: StreamPlan, infos: Sequence[StreamInfo], trial: Path) -> bool:
    """Whether the copy of any of these streams begins elsewhere than its source."""
    with open_source(plan.source, plan.opening) as given, av.open(trial) as made:
        sides = [
            _first_times(given, [info.index for info in infos]),
            _first_times(made, range(len(infos))),
        ]
    return any(abs(one - other) > SLACK for one, other in zip(*sides, strict=True))


def _first_times(container: InputContainer, indices: Sequence[int]) -> list[Fraction]:
    """When some streams begin, in seconds."""
    times: dict[int, Fraction] = {}
    for packet in container.demux([container.streams[index] for index in indices]):
        if packet.size and packet.pts is not None:
            tick = exact(packet.time_base) or Fraction(0)
            times.setdefault(packet.stream_index, packet.pts * tick)
        if len(times) == len(indices):
            break
    return [times.get(index, Fraction(0)) for index in indices]


def _counts(path: Path) -> "Counter[int]":
    """The number of packets read back from each stream."""
    with av.open(path) as container:
        return Counter(packet.stream_index for packet in container.demux() if packet.size)
