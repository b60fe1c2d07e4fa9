"""MD5 of each decoded picture of a video, in the format of FFmpeg's framemd5 for archives."""

import hashlib
from fractions import Fraction
from pathlib import Path

import av
from av.video.codeccontext import VideoCodecContext

from ciaovideo.errors import DecodeError
from ciaovideo.media.av_errors import av_errors
from ciaovideo.media.clock import exact
from ciaovideo.media.source.opening import main_video, open_source

HEADER = "#format: frame checksums\n#version: 2\n#hash: MD5\n"
COLUMNS = "#stream#, dts,        pts, duration,     size, hash\n"


def write_framemd5(video: Path, path: Path) -> int:
    """Write the list of a video's pictures; returns their number.

    The hashes are those of ``ffmpeg -i VIDEO -map 0:v:0 -f framemd5``; times are in the ticks of
    the file. Raises MediaError.
    """
    with open_source(video) as container, path.open("w", encoding="ascii") as file:
        av_stream = main_video(container, video)
        tick = exact(av_stream.time_base) or 1
        file.write(f"{HEADER}#software: ciaovideo\n#tb 0: {tick}\n#media_type 0: video\n")
        file.write(f"#codec_id 0: rawvideo\n#dimensions 0: {av_stream.width}x{av_stream.height}\n")
        file.write(f"#sar 0: {exact(av_stream.sample_aspect_ratio) or '0/1'}\n{COLUMNS}")
        count = 0
        raw: VideoCodecContext | None = None
        with av_errors("decoding", video, DecodeError):
            for picture in container.decode(av_stream):
                if raw is None or raw.pix_fmt != picture.format.name:
                    raw = _raw_encoder(picture)
                data = b"".join(map(bytes, raw.encode(picture)))
                md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
                pts = picture.pts or 0
                file.write(f"0, {pts:10}, {pts:10}, {picture.duration:8}, {len(data):8}, {md5}\n")
                count += 1
    return count


def _raw_encoder(picture: av.VideoFrame) -> VideoCodecContext:
    """An encoder that outputs a picture's bytes without padding."""
    raw = av.CodecContext.create("rawvideo", "w")
    raw.width, raw.height, raw.pix_fmt = picture.width, picture.height, picture.format.name
    raw.time_base = picture.time_base or Fraction(1)
    return raw
