"""FFmpeg's errors into ours, in one place."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av.error

from ciaovideo.errors import DecodeError, EncodeError, MediaError, OpenError

FULL_DISK = "make room on the disk, or write to another one"
DAMAGED = "the data is damaged, encrypted or not what it claims to be"
FULL_DISK_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# What FFmpeg reports, and what a user can do about it; most specific first. The kind of our error
# depends on what was being done, which only the caller knows; None keeps it.
OURS: tuple[tuple[type[Exception], type[MediaError] | None, str], ...] = (
    (av.error.FileNotFoundError, None, "check the name"),
    (av.error.PermissionError, None, "check who may read and write there"),
    (av.error.IsADirectoryError, None, "name a file, not a folder"),
    (av.error.NotADirectoryError, None, "check the name"),
    (av.error.FileExistsError, None, "choose another name"),
    (av.error.InvalidDataError, None, DAMAGED),
    (av.error.DecoderNotFoundError, OpenError, "FFmpeg has no decoder for it"),
    (av.error.DemuxerNotFoundError, OpenError, "FFmpeg does not read this kind of file"),
    (av.error.ProtocolNotFoundError, OpenError, "name a local file"),
    (av.error.EncoderNotFoundError, EncodeError, "choose another codec"),
    (av.error.MuxerNotFoundError, EncodeError, "choose another kind of file"),
    (av.error.BSFNotFoundError, None, ""),
    (av.error.FilterNotFoundError, None, ""),
    (av.error.OptionNotFoundError, None, ""),
    (av.error.LookupError, None, ""),
    (av.error.MemoryError, None, "close other programs, or use a smaller picture"),
    (av.error.PatchWelcomeError, None, "FFmpeg does not support this feature of the format"),
    (av.error.NotImplementedError, None, "FFmpeg does not support this feature of the format"),
    (av.error.ExperimentalError, None, "FFmpeg calls this experimental: choose another codec"),
    (av.error.ExternalError, None, "the codec's own library failed"),
    (av.error.InputChangedError, DecodeError, ""),
    (av.error.OutputChangedError, None, ""),
    (av.error.ArgumentError, None, "FFmpeg refuses these parameters"),
    (av.error.BufferTooSmallError, None, ""),
    (av.error.OverflowError, None, ""),
    (av.error.BrokenPipeError, None, "the other end of the pipe is gone"),
    (av.error.TimeoutError, None, ""),
    (av.error.InterruptedError, None, ""),
    (av.error.ConnectionAbortedError, None, ""),
    (av.error.ConnectionRefusedError, None, ""),
    (av.error.ConnectionResetError, None, ""),
    (av.error.HTTPError, None, "name a local file"),
    (av.error.HTTPClientError, None, "name a local file"),
    (av.error.ChildProcessError, None, ""),
    (av.error.ProcessLookupError, None, ""),
    (av.error.BlockingIOError, None, ""),
    (av.error.EOFError, None, "the file ends too early"),
    (av.error.ExitError, None, ""),
    (av.error.BugError, None, "this is a bug in FFmpeg"),
    (av.error.UnknownError, None, ""),
    (av.error.UndefinedError, None, ""),
    (av.error.PyAVCallbackError, None, ""),
    (av.error.OSError, None, "the file may be cut off or damaged, or its disk be failing"),
    (av.error.FFmpegError, None, ""),
)


@contextmanager
def av_errors(doing: str, path: Path, kind: type[MediaError]) -> Iterator[None]:
    """Raise ``kind`` (or what fits better) for FFmpeg's errors: the act, the file, FFmpeg's words.

    End of stream and "try again" are control flow: callers handle them inside this block.
    """
    try:
        yield
    except av.error.FFmpegError as cause:
        ours, hint = next((ours, hint) for theirs, ours, hint in OURS if isinstance(cause, theirs))
        if cause.errno in FULL_DISK_CODES:
            ours, hint = EncodeError, FULL_DISK
        problem = cause.strerror
        gave_up = isinstance(cause, av.error.PermissionError) and cause.errno == errno.EPERM
        if kind is DecodeError and gave_up:  # some decoders return a bare -1, which is this number
            problem, hint = "the decoder gives up", DAMAGED
        raise (ours or kind)(f"{doing} {path}: {problem}", hint) from cause
