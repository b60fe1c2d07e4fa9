"""The plan of a run, and the target of the written video."""

from dataclasses import dataclass, replace
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path

from ciaovideo.color import ColorSpec, Matrix, PixelLayout, Primaries
from ciaovideo.engine.engine import EnginePlan
from ciaovideo.findings import Finding
from ciaovideo.media.codecs.choice import Encoding
from ciaovideo.media.codecs.table import Y4M
from ciaovideo.media.containers import Clock, Fate
from ciaovideo.media.ffmpeg.program import ExternalEncoder
from ciaovideo.media.frame import VideoInfo
from ciaovideo.media.margins import NO_MARGINS, Margins
from ciaovideo.media.streams.plan import StreamPlan
from ciaovideo.media.write.encoder import VideoTarget
from ciaovideo.media.write.output import Destination
from ciaovideo.media.write.y4m import color_words
from ciaovideo.models.weights import weights_sha256


@dataclass(frozen=True, slots=True, kw_only=True)
class GrainFacts:
    """Standard deviations of grain in luma, in steps of 8 bits at the source's size.

    That of the ``source``, the part ``left`` in its enlargement, and the part that is ``added``.
    """

    source: float
    left: float
    added: float


@dataclass(frozen=True, slots=True, kw_only=True)
class UpscalePlan:
    """All decisions made before the first frame is computed.

    ``color`` is the interpretation of the source's samples, ``out_color`` the output's; they differ
    in chroma siting only. ``pad`` is the black around the enlarged picture. ``piped_in`` means that
    the source is a pipe, which cannot be read again. ``finished`` frames exist from a stopped run.
    """

    source: Path
    destination: Destination
    info: VideoInfo
    out_size: tuple[int, int]
    pad: Margins
    model: str
    restore: float
    consistent: bool
    device: str
    precision: str
    workers: int
    batch: int
    memory: EnginePlan
    color: ColorSpec
    out_color: ColorSpec
    encoding: Encoding
    streams: StreamPlan
    frames: int
    findings: tuple[Finding, ...]
    piped_in: bool = False
    external: ExternalEncoder | None = None
    seconds_per_frame: float | None = None
    finished: int = 0
    grain: GrainFacts | None = None  # where it is kept
    provenance: str = ""  # the text of the output's tag on the run

    @property
    def output(self) -> Path:
        """The path of the output."""
        return self.destination.path

    @property
    def full_size(self) -> tuple[int, int]:
        """The (height, width) of the output's frames, with the padding."""
        return self.pad.outer(*self.out_size)

    @property
    def next_words(self) -> tuple[str, ...]:
        """Options that give the next ffmpeg the colour tags that a pipe cannot hold."""
        if not self.destination.piped:
            return ()
        return color_words(output_color(self, tag_guessed=False))


def describe_run(plan: UpscalePlan, weights: Path | None) -> str:
    """One line for a resumable run's metadata: version, source, sizes, network, weights, encoder.

    ``weights`` is a file in place of bundled weights.
    """
    info, (height, width) = plan.info, plan.full_size
    digest = weights_sha256(plan.model, weights)
    about = f", weights sha256 {digest}, restore {plan.restore:g}" if digest else ""
    about += ", consistent" if plan.consistent else ""
    about += f", grain {plan.grain.added:g}" if plan.grain else ""
    device = plan.device.partition(":")[0]
    quality = f" {plan.encoding.own_quality}" if plan.encoding.own_quality else ""
    return (
        f"ciaovideo {version('ciaovideo')}: {plan.source.name}, {info.width}x{info.height} to"
        f" {width}x{height}, model {plan.model}{about}, {plan.precision} on {device},"
        f" {plan.encoding.codec.name}{quality}"
    )


def target_of(
    plan: UpscalePlan, *, tag_guessed: bool, square_pixels: bool, reproducible: bool
) -> VideoTarget:
    """The target of the written video."""
    color = output_color(plan, tag_guessed=tag_guessed)
    if plan.encoding.codec is Y4M:  # its header always states a siting
        color = replace(color, siting=plan.out_color.siting)
    target = VideoTarget.of(plan.info, plan.encoding, plan.out_size, color, plan.pad)
    container = plan.streams.container
    target = replace(target, reproducible=reproducible, provenance=plan.provenance)
    if container.rotation is Fate.LOST:
        target = replace(target, display_matrix=())
    if container.crop is Fate.LOST:
        target = replace(target, crop=NO_MARGINS)
    if container.clock is Clock.NUMBERS and target.frame_rate:
        target = replace(target, time_base=1 / target.frame_rate)
    return replace(target, sar=Fraction(1)) if square_pixels else target


def output_color(plan: UpscalePlan, *, tag_guessed: bool) -> ColorSpec:
    """The colour tags of the output: the input's, or a guess where no tag would mislead."""
    info = plan.info
    color = info.color
    if plan.out_color.siting != plan.color.siting:  # moved, or chroma was subsampled here
        color = replace(color, siting=plan.out_color.siting)
    stored_anyhow = bool(plan.encoding.codec.matrices)
    here, there = assumed_matrices(info, plan.full_size)
    if plan.encoding.codec.rgb:
        made = plan.out_color
        color = replace(color, matrix=made.matrix, color_range=made.color_range, siting=made.siting)
    elif stored_anyhow or here != there:
        color = replace(color, matrix=plan.out_color.matrix)
    color = plan.out_color if tag_guessed else color
    if not plan.encoding.codec.stores_color:
        names = plan.encoding.container.color_names.unknown(color)
        color = replace(color, **{n: type(getattr(color, n))["UNSPECIFIED"] for n in names})
    unknown = color.primaries in plan.encoding.codec.unknown_primaries
    return replace(color, primaries=Primaries.UNSPECIFIED) if unknown else color


def assumed_matrices(info: VideoInfo, out_size: tuple[int, int]) -> tuple[Matrix, Matrix]:
    """The matrices that a player assumes at the source's size and at the output's.

    They are equal if the source is tagged.
    """
    layout = PixelLayout.of(info.pix_fmt)
    here = info.color.resolved(*info.stored_size, layout)[0]
    return here.matrix, info.color.resolved(*out_size, layout)[0].matrix
