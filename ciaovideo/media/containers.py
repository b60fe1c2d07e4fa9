"""CONTAINERS: what each container stores, and how its muxer behaves.

A row has all facts about a container, as a row of ``CODECS`` has those about an encoder; no other
code compares containers by name. All facts are measured with FFmpeg's muxers unless stated
otherwise. To add a container, add a row; ``tests/contract`` covers all of them.

Facts that surprise:

- MXF is written as OP1a. It stores frame numbers instead of timestamps, one video, which must be
  first, and 16- or 24-bit PCM at 48 kHz beside each frame. Its timecode is 00:00:00:00 by default.
  DNxHR is not written into it, because FFmpeg tags every such picture as 16:9.
- mp4 and mov store steps between decoding timestamps. Matroska and WebM store milliseconds, and no
  timestamp before zero except for the priming of sound.
- .avi counts frames from 0, and holds only the video here: FFmpeg's muxer moves most sound.
- ISO media files (mp4, mov) store colour tags only together, and drop empty streams.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from ciaovideo.color import ColorSpec, Matrix, Primaries, Siting, Transfer

COLOR_TAGS = ("matrix", "color_range", "primaries", "transfer", "siting")
GENERATIONS = tuple(f"CIAOVIDEO{number}" for number in ("", "_2", "_3"))  # of one film
MATROSKA_SITINGS = frozenset({Siting.LEFT, Siting.CENTER, Siting.TOPLEFT, Siting.TOP})
# Encoders for Y'CbCr of so many bits, and whether they take R'G'B', too; the first that fits.
AUTOMATIC = ((10, False, "libx264"), (12, True, "libx265"), (16, True, "ffv1"))


class Clock(Enum):
    """How a container stores the time of a frame."""

    EXACT = "in ticks of the video's own clock"
    MILLISECONDS = "in milliseconds, rounded"
    NUMBERS = "by its number at one rate; other times are an error, or lost if that is forced"


class Fate(Enum):
    """What happens to a property that a container may not support."""

    HELD = "stored by the muxer"
    PATCHED = "stored in the finished file"
    LOST = "dropped, with a finding"
    REFUSED = "an error"


@dataclass(frozen=True, slots=True, kw_only=True)
class ColorNames:
    """How the colour tags that a container stores are read back: renamed, or unspecified.

    A tag that is not listed keeps its name; a new name means the same numbers.
    """

    matrix: Mapping[Matrix, Matrix] = field(default_factory=dict)
    primaries: Mapping[Primaries, Primaries] = field(default_factory=dict)
    transfer: Mapping[Transfer, Transfer] = field(default_factory=dict)

    def shown(self, color: ColorSpec) -> ColorSpec:
        """The tags as they are read back."""
        return replace(
            color,
            matrix=self.matrix.get(color.matrix, color.matrix),
            primaries=self.primaries.get(color.primaries, color.primaries),
            transfer=self.transfer.get(color.transfer, color.transfer),
        )

    def unknown(self, color: ColorSpec) -> tuple[str, ...]:
        """The field names of the tags that are not read back."""
        shown = self.shown(color)
        names = ("matrix", "primaries", "transfer")
        silent = (getattr(shown, name).name == "UNSPECIFIED" for name in names)
        told = (getattr(color, name).name != "UNSPECIFIED" for name in names)
        return tuple(n for n, said, lost in zip(names, told, silent, strict=True) if said and lost)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Container:
    """One container: its muxer, names, clock and capabilities; each field has a comment.

    Rows are measured: a value is what FFmpeg's muxer does, not what the format's standard allows.
    """

    # Names
    name: str  # FFmpeg's, of the muxer and among those of the demuxer
    suffixes: tuple[str, ...] = ()  # that end the names of its files, the usual one first
    title: str = ""  # its name in messages; the usual suffix if empty

    # Time
    clock: Clock = Clock.EXACT  # how it says when a frame appears
    before_zero: bool = True  # whether times before zero are stored
    coding_times: bool = False  # it stores decoding timestamps only, and counts dropped frames, too
    tells_end: bool = False  # its header has the duration of the file
    lasts_from_zero: bool = False  # that duration counts from zero, wherever its streams begin
    free_clock: bool = False  # its clock begins anywhere, as a broadcast's does
    longest_step: int = 0  # maximum ticks between two frames; 0 for no limit
    syncpoints: bool = False  # NUT's marks tell the time here and there
    found_by_bytes: bool = False  # FFmpeg finds packets from any byte on, and has no other clock

    # Video
    codecs: frozenset[str] = frozenset()  # the encoders whose bitstreams it holds
    automatic: tuple[tuple[int, bool, str], ...] = AUTOMATIC  # deepest bits, takes R'G'B', encoder
    alpha: Mapping[str, str] = field(default_factory=dict)  # family with alpha: encoder
    bare: bool = False  # it holds raw pictures, and nothing else
    piped: bool = False  # it can be written in one pass
    numbered_pictures: bool = False  # each picture is a file of its own
    stores_rate: bool = True  # the frame rate is read back

    # Other streams
    streams: bool = True  # whether it holds any stream beside the video
    video_first: bool = False  # the video must be its first stream
    in_step: bool = False  # no timestamps: sound must begin and end with the video
    keeps_empty_streams: bool = False  # a stream without packets is read back
    covers_attached: bool = False  # cover pictures are attachments, not streams
    chapters: bool = True
    metadata: bool = True  # of the file and of its streams
    timecode: bool = True  # the timecode of the first frame
    held_metadata: tuple[str, ...] = ()  # the tags that it stores, if it stores no others
    blank_timecode: str = ""  # the timecode of a file without one
    text: str = ""  # the codec that text becomes
    # The codecs to which lossless sound and other sound are transcoded: the first that opens.
    sound: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    sound_rate: int | None = None  # samples a second of that sound; None is the source's
    young_pcm: bool = False  # PCM is stored in a way that many players do not support yet
    marks: tuple[str, ...] = ()  # dispositions that it stores
    text_marks: tuple[str, ...] = ()  # dispositions that it stores of text only
    languages: bool | None = True  # stores any code; None: those that a trial reads back

    # Colour and shape
    sitings: frozenset[Siting] = frozenset()  # that it stores itself, where the bitstream cannot
    siting_layout: str = ""  # the only layout of which it stores a siting
    stored_colors: tuple[str, ...] = COLOR_TAGS  # the colour tags that come back
    color_names: ColorNames = ColorNames()  # how they are read back, if the bitstream has none
    rotation: Fate = Fate.HELD
    sar: Fate = Fate.HELD
    # Whether it states a sample aspect ratio for the whole video; None: if that is not the
    # first picture's.
    states_sar: bool | None = None
    crop: Fate = Fate.LOST
    display_units: bool = False  # a display size can be marked as an aspect ratio
    stereo: bool = False  # it stores the arrangement of stereo video

    # The muxer
    iso: bool = False  # an ISO base media file
    # Names of the tag on how a file was made; the first that the source does not use is taken:
    provenance_keys: tuple[str, ...] = ("comment", "description")
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    # Those that make its bytes the same in every run:
    steady_options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def suffix(self) -> str:
        """The usual suffix of a file's name."""
        return self.suffixes[0]

    @property
    def word(self) -> str:
        """Its name in messages."""
        return self.title or self.suffix

    @property
    def numbered(self) -> bool:
        """Whether it stores the number of a frame instead of its time."""
        return self.clock is Clock.NUMBERS

    def plain(self) -> str:
        """Its name, for JSON."""
        return self.name

    def __str__(self) -> str:
        return self.word


# Without it, their muxers write random numbers for streams or packages.
BITEXACT = MappingProxyType({"fflags": "+bitexact"})

# MXF's labels in FFmpeg, which would falsely write gamma 2.8 as gamma 2.2.
MXF_COLORS = ColorNames(
    matrix={
        Matrix.SMPTE170M: Matrix.BT470BG,
        **{
            Matrix[name]: Matrix.UNSPECIFIED
            for name in (
                *("FCC", "BT2020_CL", "SMPTE2085", "CHROMA_DERIVED_NCL", "CHROMA_DERIVED_CL"),
                *("ICTCP", "IPT_C2", "YCGCO_RE", "YCGCO_RO"),
            )
        },
    },
    primaries={
        Primaries.SMPTE240M: Primaries.SMPTE170M,
        **{Primaries[name]: Primaries.UNSPECIFIED for name in ("BT470M", "FILM", "EBU3213")},
    },
    transfer={
        Transfer.SMPTE170M: Transfer.BT709,
        Transfer.BT2020_12: Transfer.BT2020_10,
        **{
            Transfer[name]: Transfer.UNSPECIFIED
            for name in ("GAMMA28", "LOG", "LOG_SQRT", "IEC61966_2_1")
        },
    },
)

YUV4MPEG = Container(
    name="yuv4mpegpipe",
    suffixes=(".y4m",),
    title="YUV4MPEG2",
    clock=Clock.NUMBERS,
    codecs=frozenset({"YUV4MPEG2"}),
    bare=True,
    piped=True,
    streams=False,
    chapters=False,
    metadata=False,
    timecode=False,
    siting_layout="yuv420p",
    stored_colors=("color_range",),
    rotation=Fate.LOST,
)
MATROSKA = Container(
    name="matroska",
    suffixes=(".mkv",),
    clock=Clock.MILLISECONDS,
    codecs=frozenset(
        {
            *("libx264", "libx265", "libsvtav1", "ffv1", "prores_ks"),
            *("h264_nvenc", "hevc_nvenc", "av1_nvenc", "ffmpeg"),
        }
    ),
    alpha={"yuva": "ffv1", "gbrap": "ffv1", "ya": "ffv1"},
    before_zero=False,
    keeps_empty_streams=True,
    covers_attached=True,
    text="srt",
    sound=(("flac",), ("flac",)),
    marks=("dub", "original", "comment", "forced", "hearing_impaired", "visual_impaired"),
    text_marks=("descriptions",),
    sitings=MATROSKA_SITINGS,
    sar=Fate.PATCHED,
    states_sar=True,
    crop=Fate.PATCHED,
    display_units=True,
    stereo=True,
    tells_end=True,
    lasts_from_zero=True,
    provenance_keys=GENERATIONS,
    steady_options=BITEXACT,
)
MP4 = Container(
    name="mp4",
    suffixes=(".mp4", ".m4v"),
    young_pcm=True,
    codecs=frozenset(
        {
            *("libx264", "libx265", "libsvtav1", "ffv1"),
            *("h264_nvenc", "hevc_nvenc", "av1_nvenc", "ffmpeg"),
        }
    ),
    text="mov_text",
    sound=(("alac", "aac"), ("aac", "alac")),
    marks=(
        *("dub", "comment", "forced", "hearing_impaired", "visual_impaired"),
        *("captions", "descriptions"),
    ),
    languages=None,
    states_sar=True,
    crop=Fate.PATCHED,
    iso=True,
    longest_step=2**31 - 1,
    tells_end=True,
)
CONTAINERS: dict[str, Container] = {
    container.name: container
    for container in (
        MP4,
        Container(
            name="mov",
            suffixes=(".mov",),
            codecs=frozenset(
                {
                    *("libx264", "libx265", "prores_ks", "dnxhd", "png"),
                    *("h264_nvenc", "hevc_nvenc", "ffmpeg"),
                }
            ),
            alpha={"yuva": "prores_ks", "gbrap": "png", "ya": "png"},
            text="mov_text",
            sound=(("alac", "aac"), ("aac", "alac")),
            languages=None,
            states_sar=True,
            crop=Fate.PATCHED,
            iso=True,
            longest_step=2**31 - 1,
            tells_end=True,
        ),
        MATROSKA,
        Container(
            name="webm",
            suffixes=(".webm",),
            clock=Clock.MILLISECONDS,
            codecs=frozenset({"libsvtav1", "av1_nvenc", "ffmpeg"}),
            automatic=((16, True, "libsvtav1"),),
            before_zero=False,
            keeps_empty_streams=True,
            text="webvtt",
            sound=(("libopus",), ("libopus",)),
            sound_rate=48000,
            marks=("forced",),
            text_marks=("captions", "descriptions", "metadata"),
            sitings=MATROSKA_SITINGS,
            sar=Fate.PATCHED,
            states_sar=True,
            crop=Fate.PATCHED,
            tells_end=True,
            lasts_from_zero=True,
            provenance_keys=GENERATIONS,
            steady_options=BITEXACT,
        ),
        Container(
            name="avi",
            suffixes=(".avi",),
            clock=Clock.NUMBERS,
            codecs=frozenset({"utvideo"}),
            automatic=((16, True, "utvideo"),),
            streams=False,
            chapters=False,
            timecode=False,
            stored_colors=("matrix",),
            color_names=ColorNames(matrix={Matrix.SMPTE170M: Matrix.BT470BG}),
            rotation=Fate.REFUSED,
            sar=Fate.REFUSED,
            coding_times=True,
        ),
        Container(
            name="mxf",
            suffixes=(".mxf",),
            clock=Clock.NUMBERS,
            codecs=frozenset({"prores_ks", "ffv1"}),
            automatic=((10, False, "prores_ks"), (16, True, "ffv1")),
            video_first=True,
            in_step=True,
            chapters=False,
            metadata=False,
            blank_timecode="00:00:00:00",
            sound=(("pcm_s24le",), ("pcm_s24le",)),
            sound_rate=48000,
            languages=False,
            color_names=MXF_COLORS,
            rotation=Fate.LOST,
            provenance_keys=(),
            options=MappingProxyType({"strict": "unofficial"}),  # for rates that are not broadcast
            steady_options=BITEXACT,
        ),
        YUV4MPEG,
    )
}
# Containers that are only read, by the names of FFmpeg's demuxers.
READ_ONLY = {
    "flv": Container(name="flv", tells_end=True, states_sar=False),
    "mpegts": Container(name="mpegts", free_clock=True, states_sar=False),
    "mpeg": Container(name="mpeg", free_clock=True, states_sar=False),
    "dv": Container(name="dv", states_sar=False),  # FFmpeg says that of the newest packet
    "nut": Container(name="nut", lasts_from_zero=True, syncpoints=True),
    "ogg": Container(name="ogg", found_by_bytes=True),
    "asf": Container(name="asf", found_by_bytes=True),
}
OTHER = Container(name="")
BY_SUFFIX = {suffix: row for row in CONTAINERS.values() for suffix in row.suffixes}


def read_container(names: str) -> Container:
    """The container of an FFmpeg demuxer, by its names; ``OTHER`` if unknown."""
    known = {**READ_ONLY, **CONTAINERS}
    return next((known[name] for name in names.split(",") if name in known), OTHER)
