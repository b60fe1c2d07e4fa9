"""The street of the synthetic media: brickwork, lettering, foliage and fine lines, panned."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

type Image = NDArray[np.float64]  # (H, W, 3), R'G'B' in [0, 1]

FINE = 3  # the scene is drawn this many times finer than the frames
GLYPHS = {  # five by seven dots, a row to a number
    "A": (14, 17, 17, 31, 17, 17, 17),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "D": (30, 17, 17, 17, 17, 17, 30),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "G": (14, 17, 16, 23, 17, 17, 15),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "N": (17, 25, 21, 19, 17, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "V": (17, 17, 17, 17, 17, 10, 4),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
}


def scene(height: int, width: int, number: int) -> Image:
    """Frame ``number`` of the street: a view into a larger picture, at a place that moves."""
    return _view(height, width, number).copy()


@lru_cache(maxsize=64)
def _view(height: int, width: int, number: int) -> Image:
    street = _street(height, width)
    room = street.shape[1] - FINE * width
    place = (2 * number) % (2 * room)
    place = min(place, 2 * room - place)  # to and fro
    view = street[:, place : place + FINE * width]
    return np.stack([box(view[..., channel], (FINE, FINE)) for channel in range(3)], axis=-1)


@lru_cache(maxsize=12)  # drawing one takes as long as coding a clip of it
def _street(height: int, width: int) -> Image:
    """The whole street, FINE times finer than a frame and half as wide again."""
    rng = np.random.default_rng(7)
    rows, columns = FINE * height, FINE * (width + width // 2)
    y, x = np.mgrid[0:rows, 0:columns]
    picture = np.empty((rows, columns, 3))
    picture[:] = np.array([0.93, 0.95, 0.97]) - (1 - y / rows)[..., None] * [0.45, 0.25, 0.05]
    u = rows / 180  # lengths below are in the 180ths of the height that they were designed in
    houses = (  # left, right, top, windows down and across, wall colour
        (-5, 92, 18, 6, 5, (0.62, 0.36, 0.28)),
        (92, 150, 42, 5, 4, (0.80, 0.74, 0.60)),
        (150, 232, 8, 9, 9, (0.55, 0.58, 0.62)),
        (232, 318, 50, 4, 7, (0.72, 0.52, 0.36)),
        (318, 372, 30, 8, 6, (0.83, 0.80, 0.76)),
        (372, 490, 62, 5, 12, (0.58, 0.42, 0.40)),
    )
    for left, right, top, down, across, wall in houses:
        area = (slice(int(top * u), int(150 * u)), slice(max(int(left * u), 0), int(right * u)))
        if picture[area].size:
            picture[area] = _house(
                y[area] / u - top,
                x[area] / u - left,
                (150 - top) / down,
                (right - left) / across,
                np.array(wall),
            )
    _pavement(picture, y / u, x / u)
    _sign(picture, "HOTEL CIAO", (10, 22), 1.25 * u, (0.95, 0.93, 0.85), (0.16, 0.22, 0.34))
    _sign(picture, "BREAD", (100, 130), 1.3 * u, (0.35, 0.14, 0.08), (0.94, 0.86, 0.62))
    _sign(picture, "VIDEO  EST 1984", (238, 53), 0.85 * u, (0.12, 0.10, 0.12), (0.86, 0.82, 0.7))
    _sign(picture, "NO ENTRANCE  TELL BELL", (162, 139), u / 2, (0.95, 0.95, 0.9), (0.1, 0.3, 0.2))
    _clock(picture, y / u - 82, x / u - 121)
    for offset, slope in ((14, 0.06), (17, 0.055), (5, -0.09)):  # wires, a third of a pixel thick
        gap = np.abs(y / u - offset - slope * (x / u))
        picture *= 1 - 0.85 * np.clip(1.3 - 3 * gap, 0, 1)[..., None]
    _foliage(picture, y / u, x / u, rng)
    return np.clip(picture, 0, 1)


def _house(y: Image, x: Image, storey: float, bay: float, wall: Image) -> Image:
    """A wall of bricks with rows of windows; y and x from its upper left corner."""
    course = np.floor(y / 1.6)
    joint = ((y % 1.6) < 0.3) | (((x + 1.7 * (course % 2)) % 3.4) < 0.3)
    tone = 1 + 0.07 * np.sin(course * 12.9 + np.floor((x + 1.7 * (course % 2)) / 3.4) * 78.2)
    picture = wall * np.where(joint, 0.82, tone)[..., None]
    v, w = (y % storey) / storey, (x % bay) / bay
    picture[(v > 0.16) & (v < 0.84) & (w > 0.18) & (w < 0.82)] = (0.93, 0.92, 0.88)
    pane = (v > 0.20) & (v < 0.78) & (w > 0.24) & (w < 0.76)
    shine = 0.20 + 0.25 * v + 0.12 * np.sin(np.floor(x / bay) * 5.1 + np.floor(y / storey) * 3.3)
    picture[pane] = shine[pane, None] * np.array([0.75, 0.9, 1.1])
    bars = pane & ((np.abs(w - 0.5) < 0.03) | (np.abs(v - 0.46) < 0.02))
    picture[bars] = (0.93, 0.92, 0.88)
    blind = pane & (v < 0.42) & ((np.floor(x / bay) * 7 + np.floor(y / storey) * 3) % 4 < 1)
    picture[blind & ((y % 0.9) < 0.45)] = (0.75, 0.72, 0.6)
    return picture


def _pavement(picture: Image, y: Image, x: Image) -> None:
    """Cobbles that shrink towards the houses, and a railing of fine bars before them."""
    ground = y > 150
    depth = np.where(ground, y - 146, 1) / 8
    stones = (np.abs((x - 240) / depth % 4 - 2) < 0.25) | (np.abs(30 / depth % 1 - 0.5) < 0.07)
    shade = 0.42 + 0.05 * np.sin(np.floor((x - 240) / depth / 4) * 9.1 + np.floor(30 / depth) * 4.7)
    picture[ground] = np.where(stones, 0.27, shade)[ground, None] * np.array([1.0, 0.98, 0.93])
    rail = (y > 138) & (y < 152) & (x > 230) & (x < 318)
    bars = rail & (((x % 2.4) < 0.7) | (np.abs(y - 139) < 0.6) | (np.abs(y - 150) < 0.6))
    picture[bars] = (0.08, 0.12, 0.10)


def _clock(picture: Image, y: Image, x: Image) -> None:
    """A dial of sixty strokes: finer and finer towards its middle."""
    radius, turn = np.hypot(y, x), np.arctan2(y, x)
    picture[radius < 13] = (0.10, 0.12, 0.2)
    picture[radius < 12] = (0.96, 0.95, 0.9)
    strokes = (radius > 4) & (radius < 11.2) & ((turn * 60 / (2 * np.pi)) % 1 < 0.4)
    picture[strokes] = (0.15, 0.1, 0.1)


def _foliage(picture: Image, y: Image, x: Image, rng: np.random.Generator) -> None:
    """Crowns of leaves with holes in them, on trunks."""
    rows, columns = y.shape
    leaves = np.zeros((rows, columns))
    for size, weight in ((9, 0.8), (5, 1.0), (3, 1.0)):
        coarse = rng.normal(size=(rows // size + 2, columns // size + 2))
        leaves += weight * np.kron(coarse, np.ones((size, size)))[:rows, :columns]
    for middle, top, half in ((70, 112, 24), (205, 104, 22), (345, 108, 30), (440, 100, 26)):
        picture[(np.abs(x - middle) < 1.6) & (y > top) & (y < 156)] = (0.25, 0.18, 0.12)
        crown = ((x - middle) / half) ** 2 + ((y - top) / (0.8 * half)) ** 2
        green = leaves > 2.6 * crown - 1.5
        light = 0.30 + 0.09 * leaves - 0.15 * (y - top) / half
        color = light[..., None] * np.array([0.75, 1.1, 0.4])
        shown = green & (crown < 1.3)
        picture[shown] = np.clip(color[shown], 0.03, 0.9)


def _sign(
    picture: Image,
    text: str,
    corner: tuple[float, float],
    dot: float,
    ink: tuple[float, ...],
    board: tuple[float, ...],
) -> None:
    """Letters of five by seven dots on a board, from its upper left (x, y) in 180ths of the height.

    ``dot`` is in samples of the fine picture and need not be whole.
    """
    left, top = (place * picture.shape[0] / 180 for place in corner)
    dots = np.zeros((11, 6 * len(text) + 3), bool)
    for place, letter in enumerate(text):
        for row, bits in enumerate(GLYPHS.get(letter, (0,) * 7)):
            for column in range(5):
                dots[row + 2, 6 * place + column + 2] = bits >> (4 - column) & 1
    rows = (np.arange(int(11 * dot)) / dot).astype(int)
    columns = (np.arange(int(dots.shape[1] * dot)) / dot).astype(int)
    area = picture[int(top) :, int(left) :][: len(rows), : len(columns)]
    shown = dots[np.ix_(rows, columns)][: area.shape[0], : area.shape[1]]
    area[:] = np.where(shown[..., None], ink, board)


def box(plane: Image, factors: tuple[int, int]) -> Image:
    """Mean over blocks of (y, x) samples; an odd last row or column is repeated first."""
    y, x = factors
    padded = np.pad(plane, ((0, -plane.shape[0] % y), (0, -plane.shape[1] % x)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // y, y, padded.shape[1] // x, x)
    return blocks.mean(axis=(1, 3))
