"""CONTAINERS: what each container holds, and what its muxer does with it.

One row has all facts about a container, as a row of ``CODECS`` has those about an encoder: nothing
else compares containers by name. All of it is measured with FFmpeg's muxers unless it says
otherwise. To add one, add a row; ``tests/contract`` runs over all of them.

Facts that surprise:

- MXF is written as OP1a. It stores numbers of frames instead of times, one video, which comes
  first, and PCM of 16 or 24 bits at 48 kHz that begins with it; its timecode is 00:00:00:00 where
  nobody sets one. DNxHR is not written into it: FFmpeg calls every such picture 16:9.
- mp4 and mov store steps between decoding times; Matroska and WebM milliseconds and no time before
  zero, but for the priming of sound.
- .avi counts frames, and here holds the video alone: FFmpeg's muxer moves most sound.
- An ISO media file (mp4, mov) keeps colour tags only together, and leaves out empty streams.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

from ciaovideo.color import ColorSpec, Matrix, Primaries, Siting, Transfer

TAGS = ("matrix", "color_range", "primaries", "transfer", "siting")
MATROSKA_SITINGS = frozenset({Siting.LEFT, Siting.CENTER, Siting.TOPLEFT, Siting.TOP})
# Encoders for Y'CbCr of so many bits, and whether they take R'G'B', too; the first that fits.
AUTOMATIC = ((10, False, "libx264"), (12, True, "libx265"), (16, True, "ffv1"))


class Clock(Enum):
    """How a container says when a frame appears."""

    EXACT = "in ticks of the video's own clock"
    MILLISECONDS = "in milliseconds, rounded"
    GRID = "by its number at one rate; other times are an error"
    NUMBERS = "by its number at one rate; other times are lost"


class Fate(Enum):
    """What becomes of something that a container may have no place for."""

    HELD = "stored by the muxer"
    PATCHED = "stored in the finished file"
    LOST = "left out, which is a finding"
    REFUSED = "an error"


@dataclass(frozen=True, slots=True, kw_only=True)
class TagNames:
    """How colour tags come back that a container itself stores: by another name, or unspecified.

    A tag that is not listed keeps its name; another name means the same numbers.
    """

    matrix: Mapping[Matrix, Matrix] = field(default_factory=dict)
    primaries: Mapping[Primaries, Primaries] = field(default_factory=dict)
    transfer: Mapping[Transfer, Transfer] = field(default_factory=dict)

    def shown(self, color: ColorSpec) -> ColorSpec:
        """The tags as they come back."""
        return replace(
            color,
            matrix=self.matrix.get(color.matrix, color.matrix),
            primaries=self.primaries.get(color.primaries, color.primaries),
            transfer=self.transfer.get(color.transfer, color.transfer),
        )

    def unknown(self, color: ColorSpec) -> tuple[str, ...]:
        """The names, as fields of the spec, of the tags that do not come back."""
        shown = self.shown(color)
        names = ("matrix", "primaries", "transfer")
        return tuple(name for name in names if getattr(color, name) and not getattr(shown, name))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Container:
    """One container: its muxer, its names, its clock, and what it holds.

    ``name`` is FFmpeg's, of the muxer and among those of the demuxer; ``suffixes`` end the names of
    its files, the usual one first; ``title`` is its word in messages, the usual suffix if empty.

    ``codecs`` names the encoders whose coding it holds, ``automatic`` those for a source as rows of
    (deepest bits, takes R'G'B', encoder), ``alpha`` those for families of layouts with alpha.
    ``bare`` means that it holds pictures as they are, and nothing else; ``piped`` that it can be
    written in one pass.

    ``streams`` says whether it holds any stream beside the video, ``video_first`` that the video
    must be the first, ``in_step`` that all begin with it and sound is cut into packets of a frame
    each, ``before_zero`` whether times before zero
    are stored. ``text`` is the coding that text becomes in it, ``sound`` those that sound becomes,
    for lossless sources and for others, the second where the first does not open, at
    ``sound_rate`` samples a second or the source's. ``marks`` are the
    dispositions that it stores, ``text_marks`` those of text only. ``languages`` is whether it
    stores any code, or (None) only those that a trial gives back. ``blank_timecode`` is the
    timecode that a file without one gets.

    ``sitings`` are those that it tells of chroma itself, where the coding has no word for it;
    ``siting_layout`` names the only layout of which any is told. ``stored_tags`` are the colour
    tags that come back, ``tag_names`` how, where the coding does not store them. ``rotation``,
    ``sar`` and ``crop`` say what becomes of them, ``stereo`` that it stores how a stereo video is
    arranged. ``iso`` means an ISO base media file; ``coding_times`` that it has only times at which
    pictures are decoded, and counts those that were dropped; ``tells_end`` that its header says how
    long the file lasts, and ``lasts_from_zero`` that this counts from zero wherever its streams
    begin; ``free_clock`` that its clock begins anywhere, as a broadcast's.
    ``options`` are its muxer's, ``steady_options`` those that make its bytes the same in each run.
    """

    name: str
    suffixes: tuple[str, ...] = ()
    title: str = ""
    clock: Clock = Clock.EXACT
    codecs: frozenset[str] = frozenset()
    automatic: tuple[tuple[int, bool, str], ...] = AUTOMATIC
    alpha: Mapping[str, str] = field(default_factory=dict)
    bare: bool = False
    piped: bool = False
    streams: bool = True
    video_first: bool = False
    in_step: bool = False
    before_zero: bool = True
    keeps_empty_streams: bool = False
    covers_attached: bool = False
    chapters: bool = True
    metadata: bool = True
    timecode: bool = True
    blank_timecode: str = ""
    text: str = ""
    sound: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    sound_rate: int | None = None
    marks: tuple[str, ...] = ()
    text_marks: tuple[str, ...] = ()
    languages: bool | None = True
    sitings: frozenset[Siting] = frozenset()
    siting_layout: str = ""
    stored_tags: tuple[str, ...] = TAGS
    tag_names: TagNames = TagNames()
    rotation: Fate = Fate.HELD
    sar: Fate = Fate.HELD
    crop: Fate = Fate.LOST
    display_units: bool = False
    stereo: bool = False
    iso: bool = False
    coding_times: bool = False
    tells_end: bool = False
    lasts_from_zero: bool = False
    free_clock: bool = False
    options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    steady_options: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def suffix(self) -> str:
        """The usual end of a file's name."""
        return self.suffixes[0]

    @property
    def word(self) -> str:
        """Its word in messages."""
        return self.title or self.suffix

    @property
    def numbered(self) -> bool:
        """Whether it stores the number of a frame instead of its time."""
        return self.clock in (Clock.GRID, Clock.NUMBERS)

    def plain(self) -> str:
        """Its name, which stands for it in JSON."""
        return self.name

    def __str__(self) -> str:
        return self.word


# Without it, their muxers draw random numbers for streams or packages.
BITEXACT = MappingProxyType({"fflags": "+bitexact"})

# MXF's labels, as FFmpeg has them; it calls gamma 2.8 gamma 2.2, which would be false.
MXF_TAGS = TagNames(
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
    stored_tags=("color_range",),
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
    crop=Fate.PATCHED,
    display_units=True,
    stereo=True,
    tells_end=True,
    lasts_from_zero=True,
    steady_options=BITEXACT,
)
MP4 = Container(
    name="mp4",
    suffixes=(".mp4", ".m4v"),
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
    crop=Fate.PATCHED,
    iso=True,
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
            crop=Fate.PATCHED,
            iso=True,
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
            crop=Fate.PATCHED,
            tells_end=True,
            lasts_from_zero=True,
            steady_options=BITEXACT,
        ),
        Container(
            name="avi",
            suffixes=(".avi",),
            clock=Clock.GRID,
            codecs=frozenset({"utvideo"}),
            automatic=((16, True, "utvideo"),),
            streams=False,
            chapters=False,
            timecode=False,
            stored_tags=("matrix",),
            tag_names=TagNames(matrix={Matrix.SMPTE170M: Matrix.BT470BG}),
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
            tag_names=MXF_TAGS,
            rotation=Fate.LOST,
            options=MappingProxyType({"strict": "unofficial"}),  # for rates that are not broadcast
            steady_options=BITEXACT,
        ),
        YUV4MPEG,
    )
}
# What is only read: FFmpeg's names of demuxers that are no muxers here.
READ_ONLY = {
    "flv": Container(name="flv", tells_end=True),
    "mpegts": Container(name="mpegts", free_clock=True),
    "mpeg": Container(name="mpeg", free_clock=True),
}
OTHER = Container(name="")
BY_SUFFIX = {suffix: row for row in CONTAINERS.values() for suffix in row.suffixes}


def read_container(names: str) -> Container:
    """The container that FFmpeg's demuxer reads, by its names; ``OTHER`` where none is known."""
    known = {**READ_ONLY, **CONTAINERS}
    return next((known[name] for name in names.split(",") if name in known), OTHER)
