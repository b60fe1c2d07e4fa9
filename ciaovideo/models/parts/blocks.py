"""Cuts a grid of queries into blocks, whose size bounds the memory."""

import math
from collections.abc import Iterator

import torch

QUERY_BLOCK = {"cpu": 1 << 12, "cuda": 1 << 15}  # queries at once: on a CPU, what a cache holds


def queries_at_once(device: torch.device, batch: int) -> int:
    """Queries of a block, of each of ``batch`` pictures."""
    return max(1, QUERY_BLOCK.get(device.type, QUERY_BLOCK["cuda"]) // batch)


def blocks(rows: int, columns: int, most: int) -> tuple[list[slice], list[slice]]:
    """How to cut a grid into blocks of at most ``most`` points, as square as they can be."""
    side = min(rows, math.isqrt(most))
    across = min(columns, most // side)
    return list(_parts(rows, max(side, most // across))), list(_parts(columns, across))


def _parts(count: int, most: int) -> Iterator[slice]:
    """Parts of at most ``most``, all of nearly the same length."""
    step = -(-count // -(-count // most))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))
