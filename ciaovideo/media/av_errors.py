"""Translates FFmpeg's errors into ours, in one place."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av.error

from ciaovideo.errors import DecodeError, EncodeError, MediaError, OpenError

FULL_DISK = "make room on the disk, or write to another one"
DAMAGED = "the data is damaged, encrypted or of another format"
FULL_DISK_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

# FFmpeg's error, our class and a hint, most specific first. None keeps the class that the caller
# gives: only the caller knows what was being done.
OURS: tuple[tuple[type[Exception], type[MediaError] | None, str], ...] = (
    (av.error.FileNotFoundError, None, "check the name"),
    (av.error.PermissionError, None, "check its permissions"),
    (av.error.IsADirectoryError, None, "name a file, not a folder"),
    (av.error.NotADirectoryError, None, "check the name"),
    (av.error.FileExistsError, None, "choose another name"),
    (av.error.InvalidDataError, None, DAMAGED),
    (av.error.DecoderNotFoundError, OpenError, "FFmpeg has no decoder for it"),
    (av.error.DemuxerNotFoundError, OpenError, "FFmpeg does not support this file format"),
    (av.error.ProtocolNotFoundError, OpenError, "name a local file"),
    (av.error.EncoderNotFoundError, EncodeError, "choose another codec"),
    (av.error.MuxerNotFoundError, EncodeError, "choose another container"),
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
    (av.error.BrokenPipeError, None, "the other end of the pipe was closed"),
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
    (av.error.OSError, None, "the file may be truncated or damaged, or its disk may be failing"),
    (av.error.FFmpegError, None, ""),
)


@contextmanager
def av_errors(doing: str, path: Path, kind: type[MediaError]) -> Iterator[None]:
    """Raise ``kind`` or a better class for FFmpeg's errors, with ``doing``, the file and its text.

    Callers handle end of stream and "try again" inside this block: these are control flow.
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
            problem, hint = "the decoder failed", DAMAGED
        raise (ours or kind)(f"{doing} {path}: {problem}", hint) from cause
