"""The code under which a container stores a stream's language, found by a trial.

.mov stores QuickTime's list, which has only one of the two ISO 639-2 codes of some languages and
lacks many languages; .mp4 stores any three letters, and .mkv any text.
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
    """The container's code for a language, or "" if it has none."""
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
