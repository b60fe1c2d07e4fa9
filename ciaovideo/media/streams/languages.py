"""Under which code a container holds a stream's language; found out by a trial.

.mov knows QuickTime's list, in which some of ISO 639-2's languages stand by one of their two codes
and many are missing; .mp4 takes any three letters, and .mkv anything.
"""

import io
from functools import cache

import av

from ciaovideo.media.containers import Container

# ISO 639-2 has two codes for these: the English name's and the language's own.
PAIRS = (
    *("alb sqi", "arm hye", "baq eus", "bur mya", "chi zho", "cze ces", "dut nld", "fre fra"),
    *("geo kat", "ger deu", "gre ell", "ice isl", "mac mkd", "mao mri", "may msa", "per fas"),
    *("rum ron", "slo slk", "tib bod", "wel cym"),
)
OTHER = {a: b for pair in PAIRS for a, b in (pair.split(), pair.split()[::-1])}
UNKNOWN = ("", "und")


@cache
def held_language(container: Container, language: str) -> str:
    """The code that says the same in a container, or "" where none does."""
    if language in UNKNOWN or container.languages:
        return language
    tried = () if container.languages is False else (language, OTHER.get(language, ""))
    return next((code for code in tried if code and _comes_back(container.name, code)), "")


def _comes_back(container_name: str, code: str) -> bool:
    file = io.BytesIO()
    with av.open(file, "w", format=container_name) as written:
        stream = written.add_stream("pcm_s16le", rate=8000)
        stream.metadata["language"] = code
        sound = av.AudioFrame(format="s16", layout="mono", samples=8)
        sound.sample_rate = 8000
        written.mux(stream.encode(sound))
        written.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as read:
        return read.streams[0].metadata.get("language") == code
