"""Coloured shapes in a row or a column, and a sentence that says what they are: a picture of
32 × 32 pixels determines its caption to the last word.
"""

import dataclasses
import zlib
from collections.abc import Iterator

import numpy as np

from seqgen.datasets import Dataset, captioned, sampling, vocabulary
from seqgen.datasets.captioned import encode  # noqa: F401  (the dataset's own)
from seqgen.datasets.pairs import END, decode  # noqa: F401
from seqgen.errors import out_of_range

SIDE = 32
COLOURS = {
    "red": (220, 40, 40),
    "green": (40, 180, 60),
    "blue": (50, 80, 230),
    "yellow": (230, 210, 50),
    "purple": (160, 60, 190),
    "white": (235, 235, 235),
}
KINDS = ("circle", "square", "triangle", "cross")
RADII = {"small": 3.0, "large": 4.7}
RELATIONS = ("left of", "above")
# how far centres lie from even places, along the line and across it, by the number of shapes: so
# little that shapes keep apart, and that a row is never taken for a column
JITTER = {1: (8, 8), 2: (3, 4), 3: (0.5, 3)}
BLOCK = 1000  # pictures drawn at a time
# of a hundred captions: which split one belongs to is a matter of its words alone
SHARES = {"train": range(80), "valid": range(80, 90), "test": range(90, 100)}


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 64
    train_size: int = 20_000  # pictures
    test_size: int = 1_000  # of either evaluated split

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self, "dataset.", batch_size="[1, inf)", train_size="[1, inf)", test_size="[1, inf)"
        )


def make(options: Options) -> Dataset:
    """inputs [32, 32, 3]: one to three shapes on a dark ground; answer: "a small red circle above a
    large blue cross", from left to right or from top to bottom.

    No caption is in two splits.
    """
    sampling.check(options)
    random = np.random.RandomState(0)  # its numbers never change (NEP 19)
    pictures, captions = {}, {}
    for split, share in SHARES.items():
        size = options.train_size if split == "train" else options.test_size
        scenes = []
        while len(scenes) < size:
            drawn = scene(random)
            if zlib.crc32(caption(*drawn).encode()) % 100 in share:
                scenes.append(drawn)
        captions[split] = [[caption(*drawn)] for drawn in scenes]
        blocks = range(0, size, BLOCK)
        pictures[split] = np.concatenate([draw(random, scenes[b : b + BLOCK]) for b in blocks])
    every = (text for own in captions.values() for (text,) in own)
    return captioned.stored(
        "shapes",
        pictures,
        captions,
        vocabulary.build(every, "word", (END,), 1, None),
        batch_size=options.batch_size,
        references=1,
        flip=False,
        shift=None,
    )


def scene(random: np.random.RandomState) -> tuple[list[tuple[str, str, str]], str]:
    """(size, colour and kind of each shape, how each lies to the next)."""
    shapes = [
        tuple(choices[random.randint(len(choices))] for choices in map(tuple, _CHOICES))
        for _ in range(random.randint(1, 4))
    ]
    return shapes, RELATIONS[random.randint(2)]


_CHOICES = (RADII, COLOURS, KINDS)


def caption(shapes: list[tuple[str, str, str]], relation: str) -> str:
    """The sentence of a scene."""
    return f" {relation} ".join(f"a {' '.join(shape)}" for shape in shapes)


def draw(random: np.random.RandomState, scenes: list) -> np.ndarray:
    """Antialiased pictures uint8 [N, 32, 32, 3] of scenes, each on a ground of its own."""
    count = len(scenes)
    pixels = np.float32(random.randint(0, 16, (count, SIDE, SIDE, 3)))
    pixels += random.randint(0, 48, (count, 1, 1, 3))
    for place in range(3):
        rows = [n for n, (shapes, _) in enumerate(scenes) if place < len(shapes)]
        if not rows:
            continue
        centre, radius, colour, kind = [], [], [], []
        for n in rows:
            shapes, relation = scenes[n]
            along, across = (j * (2 * random.rand() - 1) for j in JITTER[len(shapes)])
            line = SIDE * (place + 0.5) / len(shapes) + along, SIDE / 2 + across
            centre.append(line if relation == "left of" else line[::-1])
            size, name, form = shapes[place]
            radius.append(RADII[size])
            colour.append(COLOURS[name])
            kind.append(KINDS.index(form))
        cover = _cover(*(np.asarray(x, np.float32) for x in (centre, radius)), np.asarray(kind))
        pixels[rows] += cover[..., None] * (np.float32(colour)[:, None, None] - pixels[rows])
    return np.uint8(np.rint(pixels))


def _cover(centre_N2: np.ndarray, radius_N: np.ndarray, kind_N: np.ndarray) -> np.ndarray:
    """How much of each pixel [N, 32, 32] a shape covers, by the distance to its edge."""
    grid = np.arange(SIDE, dtype=np.float32) + np.float32(0.5)
    x = grid[None, None] - centre_N2[:, :1, None]
    y = grid[None, :, None] - centre_N2[:, 1:, None]
    r = radius_N[:, None, None]
    u, v = np.broadcast_arrays(np.abs(x), np.abs(y))
    arms = np.minimum(np.maximum(u - r, v - r / 3), np.maximum(v - r, u - r / 3))
    # two sides from (0, -r) to (± 0.9 r, 0.8 r), and the base between them
    triangle = np.maximum(0.8944 * u - 0.4472 * (y + r), y - 0.8 * r)
    outside = np.stack([np.sqrt(u * u + v * v) - r, np.maximum(u, v) - 0.85 * r, triangle, arms])
    return np.clip(0.5 - outside[kind_N, np.arange(len(kind_N))], 0, 1)
