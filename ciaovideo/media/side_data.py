"""Side data of a video and its pictures: which kinds are carried over, and which are lost.

The tables list the kinds that are carried over and those that describe the input's own coding. All
others are lost and reported, unknown ones by FFmpeg's name.
"""

import re
import struct
from dataclasses import dataclass

import av
from av.sidedata.sidedata import SideData, Type
from av.video.stream import VideoStream

from ciaovideo.media.margins import NO_MARGINS, Margins

# Carried over: as the output's display matrix, and as HDR10 metadata.
CARRIED = {
    *(Type.DISPLAYMATRIX, Type.MASTERING_DISPLAY_METADATA, Type.CONTENT_LIGHT_LEVEL),
}
# On the coding of the input: not valid for the output.
ABOUT_CODING = {
    *(Type.GOP_TIMECODE, Type.MOTION_VECTORS, Type.VIDEO_ENC_PARAMS, Type.VIDEO_HINT),
    *(Type.SKIP_SAMPLES, Type.REGIONS_OF_INTEREST),
}
NAMES = {
    Type.DYNAMIC_HDR_PLUS: "HDR10+ metadata",
    Type.DOVI_METADATA: "Dolby Vision metadata",
    Type.DOVI_RPU_BUFFER: "Dolby Vision metadata",
    Type.DYNAMIC_HDR_VIVID: "HDR Vivid metadata",
    Type.AMBIENT_VIEWING_ENVIRONMENT: "the ambient viewing environment",
    Type.A53_CC: "closed captions inside the pictures",
    Type.SPHERICAL: "the projection of a spherical video",
    Type.ICC_PROFILE: "an ICC colour profile",
    Type.AFD: "the active format description",
    Type.PANSCAN: "the pan-and-scan window",
    Type.S12M_TIMECODE: "the pictures' own timecode (SMPTE 12M)",
    Type.SEI_UNREGISTERED: "user data inside the pictures",
    Type.FILM_GRAIN_PARAMS: "film grain parameters",
    Type.LCEVC: "the LCEVC enhancement layer",
    Type.STEREO3D: "the stereo mark",
    Type.THREE_D_REFERENCE_DISPLAYS: "3D reference displays",
    Type.EXIF: "EXIF data",
}
SECOND_EYE = "the second eye of a stereo video: only the base view of two is enlarged"
# The same for a whole stream, by PyAV's names; also kinds that FFmpeg attaches to each picture.
STREAM_CARRIED = {
    *("display_matrix", "mastering_display_metadata", "content_light_level"),
    *("frame_cropping", "stereo_3d", "dovi_conf"),  # reported separately
    *("palette", "new_extradata", "param_change", "h263_mb_info", "quality_stats"),
    *("fallback_track", "cpb_properties", "skip_samples", "metadata_update", "prft"),
    *("mpegts_stream_id", "rtcp_sr", "hevc_conf"),  # hevc_conf: of layers beside the base
}
STREAM_NAMES = {
    "dynamic_hdr10_plus": NAMES[Type.DYNAMIC_HDR_PLUS],
    "ambient_viewing_environment": NAMES[Type.AMBIENT_VIEWING_ENVIRONMENT],
    "a53_cc": NAMES[Type.A53_CC],
    "spherical": NAMES[Type.SPHERICAL],
    "icc_profile": NAMES[Type.ICC_PROFILE],
    "afd": NAMES[Type.AFD],
    "s12m_timecode": NAMES[Type.S12M_TIMECODE],
    "lcevc": NAMES[Type.LCEVC],
    "3d_reference_displays": NAMES[Type.THREE_D_REFERENCE_DISPLAYS],
    "exif": NAMES[Type.EXIF],
}
ENCODERS_OWN = (  # the UUIDs under which x264 and x265 write their settings
    bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"),
    bytes.fromhex("2ca2de09b51747dbbb55a4fe7fc2fc4e"),
)
ARRANGEMENTS = (  # AVStereo3DType; 0 is no stereo
    *("", "side by side", "top and bottom", "alternating frames", "checkerboard"),
    *("side by side, quincunx", "alternating lines", "alternating columns", "unspecified"),
)
# Matroska's names, which FFmpeg's muxer takes as a tag; True if the right eye is first.
STEREO_TAGS = {
    (1, False): "left_right",
    (1, True): "right_left",
    (2, False): "top_bottom",
    (2, True): "bottom_top",
    (3, False): "block_lr",
    (3, True): "block_rl",
    (4, False): "checkerboard_lr",
    (4, True): "checkerboard_rl",
    (6, False): "row_interleaved_lr",
    (6, True): "row_interleaved_rl",
    (7, False): "col_interleaved_lr",
    (7, True): "col_interleaved_rl",
}
INVERTED = 1  # of an AVStereo3D's flags
PAN_SCAN = struct.Struct("<3i6h")  # id, width and height in 16ths of a pixel, three positions
CROP = struct.Struct("<4I")  # top, bottom, left, right
DOVI_CONF = struct.Struct("<9B")
UPRIGHT = (1 << 16, 0, 0, 1 << 16)  # of a display matrix without its shift, in 16.16 fixed point
UNVIEWABLE = {5, 10, 20}  # Dolby Vision profiles whose base layer may not be viewable


@dataclass(frozen=True, slots=True)
class DolbyVision:
    """A Dolby Vision profile, and the compatibility of its base layer (0: none)."""

    profile: int
    compatible: int

    @property
    def viewable(self) -> bool:
        """Whether the base layer is Y'CbCr that a player without Dolby Vision can show."""
        return self.profile != 5 and (self.profile not in UNVIEWABLE or self.compatible > 0)

    def __str__(self) -> str:
        known = self.profile in (8, 10)  # profiles that are named with their compatibility
        return f"Dolby Vision profile {self.profile}" + (f".{self.compatible}" if known else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamMarks:
    """Side data of a whole video: the crop for players, stereo, Dolby Vision.

    ``stereo`` names the arrangement of the two eyes; ``stereo_tag`` is Matroska's name for it, from
    the source's tags or its bitstream. Both are empty without stereo. ``lost`` names all other side
    data that is not carried over.
    """

    crop: Margins = NO_MARGINS
    stereo: str = ""
    stereo_tag: str = ""
    dolby_vision: DolbyVision | None = None
    lost: tuple[str, ...] = ()


def stream_marks(av_stream: VideoStream, first: av.VideoFrame) -> StreamMarks:
    """The side data of a video, or of its first picture if the stream has none."""
    data = av_stream.codec_context.coded_side_data
    hanging = {block.type: block for block in first.side_data.values()}
    stereo = data.get("stereo_3d") or bytes(hanging.get(Type.STEREO3D, b""))
    named = (STREAM_NAMES.get(kind, _plain(kind)) for kind in data if kind not in STREAM_CARRIED)
    return StreamMarks(
        crop=stated_crop(av_stream),
        stereo=_arrangement(stereo),
        stereo_tag=av_stream.metadata.get("stereo_mode", "") or _stereo_tag(stereo),
        dolby_vision=_dolby_vision(data.get("dovi_conf"), hanging.get(Type.DOVI_METADATA)),
        lost=tuple(dict.fromkeys(named)),
    )


def stated_crop(av_stream: VideoStream) -> Margins:
    """The crop that the container states; none if it would leave no picture."""
    data = av_stream.codec_context.coded_side_data.get("frame_cropping")
    crop = Margins(*CROP.unpack_from(data)) if data else NO_MARGINS
    return crop if crop.fit(av_stream.height, av_stream.width) else NO_MARGINS


def lost_of(picture: av.VideoFrame, marks: StreamMarks) -> tuple[str, ...]:
    """The names of a picture's side data that is not carried over; each kind once."""
    names = []
    for block in picture.side_data.values():
        if block.type in CARRIED or block.type in ABOUT_CODING or _says_nothing(block, picture):
            continue
        if block.type is Type.STEREO3D and marks.stereo:
            continue  # reported for the whole video, as containers differ
        if block.type is Type.VIEW_ID:
            names.append(SECOND_EYE)
        elif block.type in (Type.DOVI_METADATA, Type.DOVI_RPU_BUFFER) and marks.dolby_vision:
            continue
        else:
            names.append(NAMES.get(block.type, _plain(block.type.name)))
    return tuple(dict.fromkeys(names))


def turn_of(picture: av.VideoFrame) -> tuple[int, ...]:
    """The display matrix of a picture, nine numbers in FFmpeg's order; or empty."""
    for block in picture.side_data.values():
        if block.type is Type.DISPLAYMATRIX:
            return tuple(memoryview(bytes(block)).cast("i"))
    return ()


def without_shift(matrix: tuple[int, ...]) -> tuple[int, ...]:
    """The rotation and mirroring of a display matrix, without its shift; empty if upright."""
    turn = tuple(matrix[entry] for entry in (0, 1, 3, 4) if matrix)
    return () if turn == UPRIGHT else turn


def _plain(name: str) -> str:
    """The text for a kind that is only known by FFmpeg's name."""
    return f"side data that FFmpeg calls {re.sub('_+', ' ', name.lower())}"


def _arrangement(stereo: bytes) -> str:
    """The arrangement of the eyes in an AVStereo3D; empty without stereo."""
    kind = int.from_bytes(stereo[:4], "little")
    return ARRANGEMENTS[kind] if kind < len(ARRANGEMENTS) else ARRANGEMENTS[-1]


def _stereo_tag(stereo: bytes) -> str:
    """Matroska's name for an AVStereo3D, whose first numbers are type and flags."""
    kind, flags = (int.from_bytes(stereo[at : at + 4], "little") for at in (0, 4))
    return STEREO_TAGS.get((kind, bool(flags & INVERTED)), "")


def _dolby_vision(conf: bytes | None, metadata: SideData | None) -> DolbyVision | None:
    """The profile that the container states, or otherwise that of the first picture.

    A picture identifies only profile 5 (FFmpeg's rule: profile 0 of the RPU, in full range).
    """
    if conf is not None and len(conf) >= DOVI_CONF.size:
        numbers = DOVI_CONF.unpack_from(conf)
        return DolbyVision(numbers[2], numbers[7])
    if metadata is not None:
        block = bytes(metadata)
        header = block[int.from_bytes(block[:8], "little") :]
        rpu_profile, full_range = header[4], header[10]
        if rpu_profile == 0 and full_range:
            return DolbyVision(5, 0)
    return None


def _says_nothing(block: SideData, picture: av.VideoFrame) -> bool:
    """Whether a block only states defaults."""
    data = bytes(block)
    if block.type is Type.SEI_UNREGISTERED:
        return data.startswith(ENCODERS_OWN)
    if block.type is Type.STEREO3D:
        return not _arrangement(data)
    if block.type is Type.PANSCAN:
        _, width, height, *places = PAN_SCAN.unpack_from(data)
        whole = width >= 16 * picture.width and height >= 16 * picture.height
        return not any(places) and (whole or not (width and height))
    return False
