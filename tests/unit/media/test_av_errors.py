import errno
import inspect
from pathlib import Path

import av
import av.error
import pytest

from ciaovideo.errors import DecodeError, EncodeError, MediaError, OpenError
from ciaovideo.media.av_errors import DAMAGED, OURS, av_errors

FILE = Path("film.mp4")
THEIRS = [
    kind
    for _, kind in inspect.getmembers(av.error, inspect.isclass)
    if issubclass(kind, av.error.FFmpegError)
]


def raised(cause: Exception, kind: type[MediaError] = DecodeError) -> MediaError:
    with pytest.raises(MediaError) as caught, av_errors("decoding", FILE, kind):
        raise cause
    return caught.value


@pytest.mark.parametrize("theirs", THEIRS, ids=lambda kind: kind.__name__)
def test_every_error_of_ffmpeg_is_listed_or_follows_a_listed_one(theirs: type[Exception]) -> None:
    listed = {kind for kind, _, _ in OURS}
    named = listed - {av.error.FFmpegError}
    assert theirs in listed or any(issubclass(theirs, kind) for kind in named), (
        "a new kind of error: enter it in OURS, with what a user can do about it"
    )


def test_no_entry_hides_a_later_one() -> None:
    kinds = [kind for kind, _, _ in OURS]
    for place, kind in enumerate(kinds):
        assert not any(issubclass(kind, earlier) for earlier in kinds[:place])


@pytest.mark.parametrize("theirs", THEIRS, ids=lambda kind: kind.__name__)
def test_text_names_act_file_and_words(theirs: type[av.error.FFmpegError]) -> None:
    cause = theirs(errno.EIO, "the words of FFmpeg")
    error = raised(cause)
    assert error.problem == "decoding film.mp4: the words of FFmpeg"
    assert error.__cause__ is cause


@pytest.mark.parametrize("kind", [OpenError, DecodeError, EncodeError])
def test_what_was_being_done_decides_the_kind(kind: type[MediaError]) -> None:
    assert type(raised(av.error.InvalidDataError(1, "bad"), kind)) is kind


def test_a_missing_decoder_is_an_open_error() -> None:
    assert type(raised(av.error.DecoderNotFoundError(1, "none"))) is OpenError


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_an_encode_error_with_advice(code: int) -> None:
    error = raised(av.error.OSError(code, "No space left on device"))
    assert type(error) is EncodeError
    assert "make room" in error.hint


def test_a_decoder_that_gives_up_does_not_speak_of_permissions() -> None:
    error = raised(av.error.PermissionError(errno.EPERM, "Operation not permitted"))
    assert (error.problem, error.hint) == ("decoding film.mp4: the decoder failed", DAMAGED)
    told = raised(av.error.PermissionError(errno.EPERM, "Operation not permitted"), OpenError)
    assert "permissions" in told.hint


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), av_errors("decoding", FILE, DecodeError):
        raise KeyError


def test_real_errors_of_opening(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video " * 50)
    for name, words in (("absent.mp4", "No such file"), ("text.mp4", "Invalid data")):
        path = tmp_path / name
        with pytest.raises(OpenError, match=words), av_errors("opening", path, OpenError):
            av.open(path)
