import re
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any

import av
import pytest

from ciaovideo.errors import CiaoVideoError, EncodeError, OptionError, UnknownNameError
from ciaovideo.findings import Kind
from ciaovideo.media.codecs import advice
from ciaovideo.media.codecs.choice import Encoding, choose_codec
from ciaovideo.media.codecs.table import CODECS, DEFAULT_CRF, Codec
from ciaovideo.media.containers import CONTAINERS
from ciaovideo.options import EncodeOptions
from tests.found import by_kind
from tests.places import container_of


def choose(
    pix_fmt: str, suffix: str = ".mp4", size: tuple[int, int] = (64, 96), **options: Any
) -> Encoding:
    return choose_codec(EncodeOptions(**options), container_of(suffix), pix_fmt, *size)


@pytest.mark.parametrize("codec", CODECS.values(), ids=lambda codec: codec.name)
def test_encoders_take_what_their_entries_say(codec: object) -> None:
    assert isinstance(codec, type(CODECS["ffv1"]))
    theirs = {layout.name for layout in av.Codec(codec.name, "w").video_formats or ()}
    assert {codec.packed.get(name, name) for name in codec.pix_fmts} <= theirs
    assert any(codec.name in container.codecs for container in CONTAINERS.values())


@pytest.mark.parametrize(
    ("pix_fmt", "suffix", "name"),
    [
        ("yuv420p", ".mp4", "libx264"),
        ("yuv422p10le", ".mov", "libx264"),
        ("yuv444p", ".mkv", "libx264"),
        ("gray", ".mp4", "libx264"),
        ("yuv420p12le", ".mp4", "libx265"),
        ("gbrp", ".mp4", "libx265"),
        ("gbrp10le", ".mkv", "libx265"),
        ("yuv422p16le", ".mkv", "ffv1"),
        ("gbrp16le", ".mkv", "ffv1"),
    ],
)
def test_auto_goes_by_the_source(pix_fmt: str, suffix: str, name: str) -> None:
    choice = choose(pix_fmt, suffix)
    assert choice.codec.name == name
    assert choice.pix_fmt == pix_fmt
    assert by_kind(choice.findings) == [(Kind.CHOSEN, "codec")]


@pytest.mark.parametrize(
    ("source", "codec", "target"),
    [
        ("yuv411p", "libx264", "yuv422p"),
        ("yuv410p", "libx264", "yuv420p"),
        ("yuv440p", "libx265", "yuv444p"),
        ("yuv420p9le", "libx264", "yuv420p10le"),
        ("yuv411p", "ffv1", "yuv411p"),
        ("yuv420p9le", "ffv1", "yuv420p9le"),
        ("gray9le", "ffv1", "gray10le"),
    ],
)
def test_layouts_change_only_upwards_and_say_so(source: str, codec: str, target: str) -> None:
    choice = choose(source, ".mkv", codec=codec)
    assert choice.pix_fmt == target
    changed = [(Kind.CHANGED, "pixel format")] if source != target else []
    assert by_kind(choice.findings) == changed


@pytest.mark.parametrize(
    ("source", "size", "target"),
    [
        ("yuv420p", (121, 161), "yuv444p"),
        ("yuv420p10le", (121, 160), "yuv422p10le"),
        ("yuv422p", (121, 160), "yuv422p"),
        ("yuv422p", (120, 161), "yuv444p"),
        ("yuv411p", (120, 162), "yuv422p"),
        ("gray", (121, 161), "gray"),
    ],
)
def test_odd_sides_take_finer_chroma(source: str, size: tuple[int, int], target: str) -> None:
    assert choose(source, size=size).pix_fmt == target


def test_ffv1_holds_odd_sides_as_they_are() -> None:
    assert choose("yuv420p", ".mkv", (121, 161), codec="ffv1").pix_fmt == "yuv420p"


def test_ffv1_wants_rgb_in_another_order() -> None:
    choice = choose("gbrp", ".mkv", codec="ffv1")
    assert (choice.pix_fmt, choice.coded_pix_fmt) == ("gbrp", "bgr0")


@pytest.mark.parametrize(
    ("pix_fmt", "suffix", "codec", "words"),
    [
        ("yuv420p", ".mov", "ffv1", r"\.mov .*ffv1"),
        ("yuv420p16le", ".mov", "auto", r"\.mov .*ffv1: .*\.mkv"),
        ("yuv420p12le", ".mp4", "libx264", "cannot hold 12 bits"),
        ("gbrp16le", ".mkv", "libx265", "cannot hold 16 bits"),
        ("gbrp", ".mp4", "libx264", "cannot hold R'G'B'"),
        ("yuv420p", ".xyz", "auto", r"\.xyz"),
        ("yuv420p10le", ".avi", "auto", "utvideo cannot hold 10 bits"),
        ("yuv444p", ".webm", "auto", "libsvtav1 cannot hold"),
        (
            "yuv420p",
            "",
            "auto",
            "^out: the name has no suffix, .*: end the name in",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(
    pix_fmt: str, suffix: str, codec: str, words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        choose(pix_fmt, suffix, codec=codec)


@pytest.mark.parametrize(
    ("pix_fmt", "suffix", "codec", "advice"),
    [
        (
            "yuv444p",
            ".webm",
            "auto",
            "ask for chroma 420, or end the output's name in .mkv or .mp4",
        ),
        ("yuv422p12le", ".webm", "auto", "ask for chroma 420 and bit depth 10, or end"),
        ("gbrp", ".webm", "auto", "end the output's name in .mkv or .mp4"),
        ("gray16le", ".webm", "auto", "end the output's name in .mkv or .mp4"),
        ("yuv420p10le", ".avi", "auto", "ask for bit depth 8, or end"),
        ("yuv420p16le", ".mov", "auto", "end the output's name in .mkv or .mp4 or .mxf (or choose"),
        ("yuv420p", ".avi", "ffv1", "end the output's name in .mkv or .mp4 or .mxf"),
        ("yuv420p12le", ".mp4", "libx264", "choose libx265 or ffv1, or ask for bit depth 10"),
        ("yuv444p", ".webm", "av1_nvenc", "end the output's name in .mkv or .mp4 and omit"),
        ("gbrp", ".y4m", "auto", "name a file that ends in .mkv or .mp4"),
    ],
)
def test_what_is_advised_works_in_the_container(
    pix_fmt: str, suffix: str, codec: str, advice: str
) -> None:
    with pytest.raises(OptionError) as refused:
        choose(pix_fmt, suffix, codec=codec)
    hint = refused.value.hint
    assert hint.startswith(advice)
    for name in CODECS:
        if re.search(rf"\b{name}\b", hint) and " and choose " not in hint:
            choose(pix_fmt, suffix, codec=name, bit_depth=12 if "at most 12" in hint else None)
    for word in re.findall(r"end the output's name in (\.\w+)", hint):
        kept = codec if "(" in hint or codec == "ffv1" else "auto"
        choose(pix_fmt, word, codec=kept)
    asked = re.search(r"ask for (?:chroma (4\d\d))?(?: and )?(?:bit depth (\d+))?", hint)
    if asked:
        depth = int(asked[2]) if asked[2] else None
        choose(pix_fmt, suffix, codec=codec, chroma=asked[1] or "auto", bit_depth=depth)


def test_pictures_too_small_for_an_encoder_get_one_that_takes_them() -> None:
    with pytest.raises(EncodeError, match=r"libx265 .*4x4 gbrp") as refused:
        choose("gbrp", ".mkv", (4, 4))
    assert refused.value.hint == "choose ffv1"
    with pytest.raises(OptionError) as nowhere:
        choose("gbrp", ".webm", (4, 4))
    assert nowhere.value.hint == "end the output's name in .mkv or .mp4 and choose ffv1"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'libx264'"):
        choose("yuv420p", codec="x264")
    with pytest.raises(UnknownNameError, match="'slow'"):
        choose("yuv420p", preset="slwo")


TOLD = (16, 20, 24, 28)  # in the help
OWN_DEFAULTS = {  # of DEFAULT_CRF
    "libx264": 16,
    "libx265": 17.2,
    "libsvtav1": 20,
    "h264_nvenc": 16,
    "hevc_nvenc": 16,
    "av1_nvenc": 19.8,
}


@pytest.mark.parametrize("crf", [-1.0, 51.5])
def test_crf_outside_its_range_is_refused(crf: float) -> None:
    with pytest.raises(OptionError, match="0 to 51"):
        choose("yuv420p", crf=crf)


LOSSY = [codec for codec in CODECS.values() if codec.scale]


@pytest.mark.parametrize("codec", LOSSY, ids=lambda codec: codec.name)
def test_a_higher_crf_is_a_higher_value_on_the_own_scale(codec: Codec) -> None:
    for column in zip(*codec.scale, strict=True):
        assert list(column) == sorted(set(column))
    first, last = codec.scale[0][0], codec.scale[-1][0]
    crfs = [first + (last - first) * part / 99 for part in range(100)]
    own = [codec.own_quality(crf) for crf in crfs]
    assert own == sorted(own)
    assert all(codec.own_quality(crf) == round(value, 1) for crf, value in codec.scale) or (
        codec.whole_quality and all(value == int(value) for value in own)
    )


def test_crf_is_translated_to_the_own_scale() -> None:
    assert {codec.name: codec.own_quality(DEFAULT_CRF) for codec in LOSSY} == OWN_DEFAULTS
    for name in ("libx265", "libsvtav1"):
        choice = choose("yuv420p", codec=name, crf=22.0)
        own = CODECS[name].own_quality(22)
        assert choice.options["crf"] == f"{own:g}"
        assert choice.own_quality == f"crf={own:g}"
        assert choose("yuv420p", codec=name, crf=16.0) == choose("yuv420p", codec=name)
    assert choose("yuv420p", ".mkv", codec="ffv1").own_quality == ""


@pytest.mark.parametrize("name", ["libx264", "libx265", "libsvtav1"])
def test_the_own_scale_instead_of_crf(name: str) -> None:
    assert choose("yuv420p", codec=name, codec_option=("crf=3",)).options["crf"] == "3"
    with pytest.raises(OptionError, match=f"crf 20 .*{name}"):
        choose("yuv420p", codec=name, crf=20.0, codec_option=("crf=3",))


def test_the_help_tells_the_translation() -> None:
    (said,) = (f.metadata["help"] for f in fields(EncodeOptions) if f.name == "crf")
    for name in ("libx265", "libsvtav1"):
        listed = ", ".join(f"{CODECS[name].own_quality(crf):g}" for crf in TOLD)
        assert f"{name} {listed}" in said
    assert f"libx264 {', '.join(map(str, TOLD))}" in said


@pytest.mark.parametrize("option", [{"crf": 20.0}, {"preset": "fast"}])
def test_ffv1_has_neither_crf_nor_presets(option: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="ffv1 has no"):
        choose("yuv420p", ".mkv", codec="ffv1", **option)


def test_options_reach_the_encoder() -> None:
    assert choose("yuv420p").options == {"crf": "16", "preset": "medium"}
    options = choose("yuv420p", codec="libx264", crf=21.5, preset="slow").options
    assert options == {"crf": "21.5", "preset": "slow"}
    options = choose("yuv420p", codec="libx265", preset="slow").options
    assert (options["preset"], options["x265-params"]) == ("slow", "log-level=none")
    assert choose("yuv420p", ".mkv", codec="ffv1").options["slicecrc"] == "1"


@pytest.mark.parametrize(
    ("source", "wishes", "target", "asked"),
    [
        ("yuv420p", {"bit_depth": 10}, "yuv420p10le", False),
        ("yuv420p10le", {"bit_depth": 8}, "yuv420p", True),
        ("yuv420p", {"chroma": "444"}, "yuv444p", False),
        ("yuv444p", {"chroma": "420"}, "yuv420p", True),
        ("yuv444p16le", {"chroma": "422", "bit_depth": 10}, "yuv422p10le", True),
        ("gbrp", {"bit_depth": 12}, "gbrp12le", False),
    ],
)
def test_wishes_are_met_exactly_and_poorer_ones_are_said(
    source: str, wishes: dict[str, Any], target: str, asked: bool
) -> None:
    choice = choose(source, ".mkv", **wishes)
    assert choice.pix_fmt == target
    assert choice.findings[1].text.endswith("as asked") == asked


@pytest.mark.parametrize(
    ("source", "suffix", "size", "wishes", "words"),
    [
        ("gbrp", ".mkv", (64, 96), {"chroma": "420"}, "does not apply to R'G'B'"),
        ("gray", ".mkv", (64, 96), {"chroma": "420"}, "does not apply to gray"),
        ("yuv420p", ".mkv", (63, 95), {"chroma": "420"}, "cannot hold 8 bits .* at 95x63"),
        ("yuv420p", ".mkv", (64, 96), {"bit_depth": 12, "codec": "libx264"}, "cannot hold 12 bits"),
        ("yuv420p", ".webm", (64, 96), {"chroma": "444"}, "cannot hold chroma 444"),
        ("yuv420p", ".mov", (64, 96), {"codec": "dnxhd"}, "256x120"),
        ("yuv420p", ".mkv", (64, 96), {"codec": "libsvtav1", "crf": 9.0}, "outside 10 to 34"),
        ("yuv420p", ".mov", (64, 96), {"codec": "prores_ks", "crf": 5.0}, "has no crf: .* hq"),
    ],
)
def test_wishes_that_cannot_be_met_are_refused(
    source: str, suffix: str, size: tuple[int, int], wishes: dict[str, Any], words: str
) -> None:
    with pytest.raises(OptionError, match=words):
        choose(source, suffix, size, **wishes)


@pytest.mark.parametrize(
    ("suffix", "pix_fmt", "name"),
    [
        (".webm", "yuv420p10le", "libsvtav1"),
        (".avi", "yuv422p", "utvideo"),
        (".avi", "gbrp", "utvideo"),
    ],
)
def test_auto_goes_by_the_container(suffix: str, pix_fmt: str, name: str) -> None:
    assert choose(pix_fmt, suffix).codec.name == name


def test_own_options_win_and_are_strung_to_ours() -> None:
    options = choose("yuv420p", codec_option=("crf=23", "tune=film")).options
    assert (options["crf"], options["tune"]) == ("23", "film")
    words = ("x265-params=keyint=48", "x265-params=aq-mode=3:pools=1")
    options = choose("yuv420p", codec="libx265", codec_option=words).options
    assert options["x265-params"] == "log-level=none:keyint=48:aq-mode=3:pools=1"


def test_a_value_that_the_encoder_refuses_is_told() -> None:
    with pytest.raises(EncodeError, match=r"libx264 .*96x64 yuv420p"):
        choose("yuv420p", codec_option=("profile=nonsense",))


@pytest.mark.parametrize("word", ["tune", "=film", " =x"])
def test_a_word_that_is_no_option_is_refused(word: str) -> None:
    with pytest.raises(OptionError, match="NAME=VALUE"):
        EncodeOptions(codec_option=(word,))


def test_wishes_outside_their_range_are_refused() -> None:
    with pytest.raises(OptionError, match="bit depth 11"):
        EncodeOptions(bit_depth=11)
    with pytest.raises(OptionError, match="411"):
        EncodeOptions(chroma="411")  # type: ignore[arg-type]


def test_a_size_that_nothing_takes_has_a_hint_that_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """As at 17280x9720, where no encoder of any container is left, but with less memory."""
    monkeypatch.setattr(advice, "ELSEWHERE", ())
    place = replace(CONTAINERS["mp4"], codecs=frozenset({"libx264"}))
    with pytest.raises(CiaoVideoError, match="17280x96") as caught:
        choose_codec(EncodeOptions(), place, "yuv420p", 96, 17280)
    assert caught.value.hint == "ask for 16384x92 at most"
    choose_codec(EncodeOptions(), place, "yuv420p", 92, 16384)


@pytest.mark.parametrize(
    ("height", "rate", "high"), [(2160, 60, False), (2160, 120, True), (4320, 25, True)]
)
def test_h264_that_players_refuse_is_told(height: int, rate: int, high: bool) -> None:
    size = height, height * 16 // 9
    choice = choose_codec(
        EncodeOptions(preset="ultrafast"),
        CONTAINERS["mp4"],
        "yuv420p",
        *size,
        rate=Fraction(rate),
    )
    assert ("level" in [found.subject for found in choice.findings]) is high


@pytest.mark.parametrize("told", ["AVX2", "AVX512", "DEFAULT"])
@pytest.mark.parametrize("has", [True, False])
def test_steady_bits_go_by_the_processor_and_not_by_what_torch_was_told(
    has: bool, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """x264's AVX-512 code is used wherever the processor has it, whatever torch may use."""
    monkeypatch.setattr("torch.cpu._is_avx512_supported", lambda: has)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: told)
    choice = choose_codec(EncodeOptions(codec="libx264"), container_of(".mkv"), "yuv420p", 96, 128)
    params = choice.steady_options.get("x264-params", "").split(":")
    assert ("asm=AVX2" in params) is has
