"""Options for the output: the video's encoding, the other streams, and losses."""

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from ciaovideo.config import check_word, opt
from ciaovideo.errors import OptionError

Chroma = Literal["auto", "420", "422", "444"]
Dithering = Literal["none", "ordered"]
SoundPolicy = Literal["copy", "auto"]
MAX_GRAIN = 4  # times the source's
BIT_DEPTHS = (8, 10, 12, 14, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """Encoding. How the result is written."""

    codec: str = opt("auto", "video encoder; auto chooses by container and source", "NAME")
    crf: float | None = opt(
        None,
        "quality, lower is better, 16 if not given, on libx264's scale for every lossy encoder."
        " libx264 16, 20, 24, 28 equal libx265 17.2, 21.4, 25.5, 29.4 and libsvtav1 20, 29, 39, 49"
        " on their own scales; for those, set the encoder's option crf (nvenc: cq). ffv1 and"
        " utvideo are lossless",
        "Q",
    )
    preset: str | None = opt(
        None, "the encoder's speed preset; for prores_ks and dnxhd the profile", "NAME"
    )
    bit_depth: int | None = opt(None, "bits per sample: 8, 10, 12, 14 or 16 (the source's)", "N")
    chroma: Chroma = opt(
        "auto", "chroma subsampling; auto keeps the source's, or takes a finer one"
    )
    dither: Dithering = opt(
        "none",
        "rounding of colours: none rounds to the nearest code, ordered adds a fine pattern first,"
        " the same in every frame, against banding",
    )
    grain: float | Literal["off", "keep"] = opt(
        "off",
        "grain that the enlarged picture has lost: keep measures it in the source and adds new"
        " grain like it to luma; a number is how much of the source's there is to be in all, from"
        " 0 to 4, where 1 is as much",
        "off|keep|F",
    )
    codec_option: tuple[str, ...] = opt(
        (), "an encoder option by FFmpeg's name; may be repeated", "NAME=VALUE"
    )
    via_ffmpeg: str | None = opt(
        None,
        "encode with the system's ffmpeg (5 or later) and these options, for example"
        ' "-c:v libaom-av1 -crf 20"; other streams, times and tags are added',
        "WORDS",
    )

    def __post_init__(self) -> None:
        if self.crf is not None and not math.isfinite(self.crf):
            raise OptionError(f"crf must be finite, got {self.crf}", "for example 18")
        if self.bit_depth is not None and self.bit_depth not in BIT_DEPTHS:
            raise OptionError(f"unsupported bit depth {self.bit_depth}", "use 8, 10, 12, 14 or 16")
        check_word("chroma", self.chroma, Chroma)
        check_word("dithering", self.dither, Dithering)
        if not 0 <= self.grain_factor <= MAX_GRAIN:
            raise OptionError(f"grain {self.grain} is outside 0 to {MAX_GRAIN}", "keep is 1")
        for word in self.codec_option:
            if not re.fullmatch(r"[^=\s]+=.*", word):
                raise OptionError(f"{word!r} is not NAME=VALUE", "for example tune=film")
        if self.via_ffmpeg is not None:
            self.check_no_encoder("a system ffmpeg", "put it into the options for ffmpeg")

    @property
    def grain_factor(self) -> float:
        """How much of the source's grain there is to be: 0 where none is added."""
        words = {"off": 0.0, "keep": 1.0}
        return words[self.grain] if isinstance(self.grain, str) else self.grain

    def check_no_encoder(self, place: str, hint: str) -> None:
        """Raise OptionError if an option is set that only PyAV's encoders support."""
        given = [name for name in ("crf", "preset") if getattr(self, name) is not None]
        given += ["codec"] if self.codec != "auto" else []
        given += ["codec option"] if self.codec_option else []
        if given:
            raise OptionError(f"{given[0]} does not apply to {place}", hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """Keeping. How to handle losses and guesses, and what the output's metadata records."""

    audio: SoundPolicy = opt(
        "copy", "sound that the output cannot hold: copy refuses it, auto transcodes it"
    )
    strict: bool = opt(
        False,
        "refuse to start if anything would be lost or guessed, and stop at a damaged picture",
    )
    tag_guessed: bool = opt(False, "write guessed colour tags into the output")
    provenance: bool = opt(
        True, "tags of a resumable run's output record how it was made", flag="tags"
    )

    def __post_init__(self) -> None:
        if self.audio not in get_args(SoundPolicy):
            raise OptionError(f"audio cannot be {self.audio!r}", ", ".join(get_args(SoundPolicy)))
