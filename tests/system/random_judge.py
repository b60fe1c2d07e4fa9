"""An output against its source as ffprobe and mediainfo see both: nothing of ours is asked.

What a run said it lost (its findings) excuses what is missing; a time or a packet that is wrong is
excused by nothing.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

MILLISECOND = 0.0011  # of which one is rounded away where Matroska stores a time
SOUND_SLACK = 0.05  # seconds that sound in another coding may begin or end elsewhere
MPEG_SOUND = {"mp1", "mp2", "mp3"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was asked of a run: a part in seconds from the first frame, frames, and size."""

    start: float = 0.0
    end: float | None = None
    frames: int | None = None
    scale: float = 1.0
    fields: bool = False


def ffprobe(path: Path) -> Any:
    """Streams, chapters, packets and frames, in FFmpeg's words: all that one look tells."""
    words = ["ffprobe", "-v", "error", "-of", "json", "-show_streams", "-show_chapters"]
    words += ["-show_packets", "-show_frames", "-show_format", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    probed = json.loads(done.stdout)
    both = probed.pop("packets_and_frames", [])
    for kind in ("packet", "frame"):
        probed[f"{kind}s"] = [one for one in both if one["type"] == kind]
    return probed


def frames_of(probed: Any, index: int) -> list[float]:
    """When each picture of a stream is shown, in order.

    Of the last one of an MPEG-PS ffprobe may tell no time: it follows as those before do.
    """
    frames = [f for f in probed["frames"] if f["stream_index"] == index]
    told = [f["best_effort_timestamp_time"] for f in frames if "best_effort_timestamp_time" in f]
    times = sorted(float(time) for time in told if time != "N/A")
    stream = probed["streams"][index]
    step = 1 / float(Fraction(stream["r_frame_rate"]))
    while len(times) < len(frames):  # the first one waits for those that are reordered
        times.append(times[-1] + step if times else int(stream.get("has_b_frames", 0)) * step)
    return times


def mediainfo(path: Path) -> list[dict[str, Any]]:
    """Its tracks, in MediaInfo's words."""
    words = ["mediainfo", "--Output=JSON", str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    tracks: list[dict[str, Any]] = json.loads(done.stdout)["media"]["track"]
    return tracks


def judge(source: Path, output: Path, asked: Asked, told: str) -> Iterator[str]:
    """What is wrong; ``told`` are the texts of a run's findings, of losses and changes."""
    given, made = ffprobe(source), ffprobe(output)
    film, copy = _film(given), _film(made)
    times = frames_of(given, film["index"])
    shown = [t for t in times if t - times[0] >= asked.start - 1e-7]
    stop = [t for t in shown if asked.end is None or t - times[0] < asked.end - 1e-7]
    shown = stop[: asked.frames]
    found = frames_of(made, copy["index"])
    yield from _compare_times(shown, found, asked)
    yield from _compare_shape(film, copy, asked, told)
    if shown and found:
        last = times[times.index(shown[-1]) + 1 :]
        end = last[0] if last and (asked.end is not None or asked.frames) else None
        span = (shown[0] if asked.start else None, end)
        yield from _compare_streams(given, made, found[0] - shown[0], span, told)
    yield from _compare_media(source, output, asked, told)


def _film(probed: Any) -> Any:
    """The first video that is no cover; of several, the one with most packets."""
    videos = [s for s in probed["streams"] if s["codec_type"] == "video"]
    videos = [s for s in videos if not s["disposition"]["attached_pic"]]
    return max(videos, key=lambda s: (s["width"] * s["height"], -s["index"]))


def _compare_times(shown: list[float], found: list[float], asked: Asked) -> Iterator[str]:
    if asked.fields:
        shown = sorted([*shown, *((a + b) / 2 for a, b in pairwise(shown))])
        found = found[: len(shown)]
    if len(shown) != len(found):
        yield f"{len(found)} pictures instead of {len(shown)}"
        return
    for number, (one, other) in enumerate(zip(shown, found, strict=True)):
        if abs((one - shown[0]) - (other - found[0])) > 2 * MILLISECOND:
            yield f"picture {number} at {other - found[0]:.4f} s instead of {one - shown[0]:.4f} s"
            return


def _compare_shape(film: Any, copy: Any, asked: Asked, told: str) -> Iterator[str]:
    for side in ("width", "height"):
        wanted = film[side] * asked.scale
        if abs(copy[side] - wanted) > 2:
            yield f"its {side} is {copy[side]} instead of {wanted}"
    shapes = []
    for one in (film, copy):
        sar = Fraction(one.get("sample_aspect_ratio", "1:1").replace(":", "/").replace("0/1", "1"))
        shapes.append(float(sar * one["width"] / one["height"]))
    if abs(shapes[0] / shapes[1] - 1) > 2 / copy["width"] + 2 / copy["height"]:
        yield f"its shape is {shapes[1]:.3f} instead of {shapes[0]:.3f}"
    turns = [
        next((d["rotation"] % 360 for d in one.get("side_data_list", []) if "rotation" in d), 0)
        for one in (film, copy)
    ]
    if turns[0] != turns[1] and "rotation" not in told:
        yield f"it is turned by {turns[1]} instead of {turns[0]}"


def _compare_streams(
    given: Any, made: Any, offset: float, span: tuple[float | None, float | None], told: str
) -> Iterator[str]:
    for kind in ("audio", "subtitle", "video", "attachment"):
        sides = [[s for s in p["streams"] if s["codec_type"] == kind] for p in (given, made)]
        if kind == "video":
            sides = [
                [s for s in side if s is not _film(p)]
                for side, p in zip(sides, (given, made), strict=True)
            ]
        if len(sides[0]) != len(sides[1]):
            names = [f"{kind} {s['index']}" for s in sides[0]]
            if not all(name in told for name in names):
                yield f"{len(sides[1])} streams of {kind} instead of {len(sides[0])}"
            continue
        for one, other in zip(*sides, strict=True):
            yield from _compare_stream(given, made, (one, other), offset, span, told)
    titles = [[c.get("tags", {}).get("title", "") for c in p["chapters"]] for p in (given, made)]
    if span == (None, None) and titles[0] != titles[1] and "chapters" not in told:
        yield f"chapters {titles[1]} instead of {titles[0]}"
    names = [p["format"].get("tags", {}).get("title", "") for p in (given, made)]
    if names[0] != names[1] and "metadata" not in told and "title" not in told:
        yield f"titled {names[1]!r} instead of {names[0]!r}"


def _compare_stream(
    given: Any,
    made: Any,
    pair: tuple[Any, Any],
    offset: float,
    span: tuple[float | None, float | None],
    told: str,
) -> Iterator[str]:
    one, other = pair
    name = f"{one['codec_type']} {one['index']}"
    languages = [s.get("tags", {}).get("language", "und").replace("ger", "deu") for s in pair]
    if languages[0] != languages[1] and f"language of {name}" not in told:
        yield f"{name} is {languages[1]} instead of {languages[0]}"
    if one["codec_type"] == "attachment":
        return
    before, after = (
        [p for p in probed["packets"] if p["stream_index"] == s["index"] and int(p["size"])]
        for probed, s in ((given, one), (made, other))
    )
    before = [p for p in before if _inside(p, span, one["codec_type"])]
    codings = {one["codec_name"], other["codec_name"]}
    same = len(codings) == 1 or codings <= MPEG_SOUND
    if not same and f"{name}:" not in told:
        yield f"{name} became {other['codec_name']} without a word"
    if not before:
        return
    if not after:
        yield f"nothing of {name} is left" if f"{name}:" not in told else ""
        return
    if made["format"]["format_name"] == "mxf":  # which stores no times
        yield from _compare_length(name, made, _seconds(other, after))
        return
    if one["codec_name"].startswith("pcm_") and same:
        sizes = [sum(int(p["size"]) for p in side) for side in (before, after)]
        if sizes[0] != sizes[1]:
            yield f"{name} has {sizes[1]} bytes instead of {sizes[0]}"
    elif (
        same
        and one["codec_type"] != "subtitle"
        and not 0
        <= len(after) - len(before)
        <= (span[0] is not None)  # one that primes the decoder
    ):
        yield f"{name} has {len(after)} packets instead of {len(before)}"
    slack = 2 * MILLISECOND if same and span[0] is None else SOUND_SLACK
    if one["codec_type"] == "subtitle":
        return
    moved = _time(after[0]) - _time(before[0]) - offset
    if abs(moved) > slack + 1 / 44100:
        yield f"{name} begins {moved:+.4f} s from its place"


def _compare_length(name: str, made: Any, lasts: float) -> Iterator[str]:
    """That sound lasts as long as the film, whose last frame the muxer may fill up."""
    film = _film(made)
    count, frame = len(frames_of(made, film["index"])), 1 / float(Fraction(film["r_frame_rate"]))
    if not 0 <= lasts - count * frame + 1 / 44100 < frame:
        yield f"{name} lasts {lasts:.3f} s beside {count} frames of {frame:.4f} s"


def _seconds(stream: Any, packets: list[Any]) -> float:
    """How long PCM lasts, by its bytes."""
    width = int(stream["bits_per_sample"]) // 8 * int(stream["channels"])
    return sum(int(p["size"]) for p in packets) / width / int(stream["sample_rate"])


def _inside(packet: Any, span: tuple[float | None, float | None], kind: str) -> bool:
    begin = _time(packet)
    lasts = float(packet.get("duration_time", 0)) if kind != "video" else 0
    if span[0] is not None and begin < span[0] and begin + lasts <= span[0] + 1e-9:
        return False
    return span[1] is None or begin < span[1]


def _time(packet: Any) -> float:
    return float(packet.get("pts_time", packet.get("dts_time", 0)))


def _compare_media(source: Path, output: Path, asked: Asked, told: str) -> Iterator[str]:
    """MediaInfo's count of tracks, and the film's sides."""
    given, made = mediainfo(source), mediainfo(output)
    for kind in ("Audio", "Text"):
        counts = [sum(t["@type"] == kind for t in side) for side in (given, made)]
        word = {"Audio": "audio", "Text": "subtitle"}[kind]
        if counts[0] > counts[1] and not re.search(rf"{word} \d", told):
            yield f"mediainfo sees {counts[1]} tracks of {kind} instead of {counts[0]}"
    sides = [
        max((int(t.get("Width", 0)) for t in side if t["@type"] == "Video"), default=0)
        for side in (given, made)
    ]
    if sides[0] and abs(sides[0] * asked.scale - sides[1]) > 2:  # of NUT it knows nothing
        yield f"mediainfo sees a width of {sides[1]}, of {sides[0]} before"
