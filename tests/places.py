"""The container that a file's name asks for."""

from pathlib import Path

from ciaovideo.media.containers import Container
from ciaovideo.media.write.output import Destination


def container_of(name: Path | str) -> Container:
    """The container of a path, or of a bare suffix such as ``.mkv``."""
    return Destination.of(Path(f"out{name}") if isinstance(name, str) else name).container
