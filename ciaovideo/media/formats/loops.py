"""The loop count of GIF and APNG, which videos do not have."""

from pathlib import Path

GIF_LOOP, PNG_LOOP = b"NETSCAPE2.0\3\1", b"\0\0\0\10acTL"
READ = 1 << 16  # bytes: both precede the first picture, after palettes and profiles


def lost_loop(path: Path) -> str:
    """The name of the lost loop; empty if the file is shown once."""
    with path.open("rb") as file:
        data = file.read(READ)
    if data.startswith(b"GIF8"):
        at = data.find(GIF_LOOP)
        if at < 0:
            return ""
        again = int.from_bytes(data[at + len(GIF_LOOP) :][:2], "little")
        return f"{again} repetitions" if again else "the endless loop"
    if data.startswith(b"\x89PNG") and (at := data.find(PNG_LOOP)) >= 0:
        shown = int.from_bytes(data[at + len(PNG_LOOP) + 4 :][:4], "big")
        return "" if shown == 1 else f"{shown - 1} repetitions" if shown else "the endless loop"
    return ""
