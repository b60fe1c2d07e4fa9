"""How this process's memory allocator treats what is freed."""

import ctypes

# Parameters of mallopt (malloc.h of the GNU C library), and their values.
TRIM_THRESHOLD, MMAP_THRESHOLD, ARENA_MAX = -1, -3, -8
KEPT = 1 << 30  # bytes: what is free beyond them at the heap's end goes back to the system
MAPPED = 1 << 28  # bytes of the smallest block with a map of its own, which goes back at once
MAPPED_BEFORE = 1 << 25  # the largest such value that version 2.35 and older take


def keep_freed_memory() -> bool:
    """Have the GNU C library reuse freed memory instead of returning it; False with another one.

    It maps each larger block anew, and threads other than the first have heaps of 64 MB. Then every
    page of every map of every frame is a fault, and is cleared first: up to 28 % of a run's
    processor time. What is kept is up to a fifth of its memory. It applies to the whole process, so
    it is for processes of our own, before they start threads, and not for a library's import.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    kept = mallopt(MMAP_THRESHOLD, MAPPED) or mallopt(MMAP_THRESHOLD, MAPPED_BEFORE)
    return bool(kept and mallopt(TRIM_THRESHOLD, KEPT) and mallopt(ARENA_MAX, 1))
