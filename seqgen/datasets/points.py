"""Points in the plane: mixtures and curves that show what a generative model misses, or the user's.

The ring and the grid of Gaussians as in VEEGAN (Srivastava et al. 2017) and PacGAN (Lin et al.
2018), with the latter's deviations; the moons are scikit-learn's `make_moons`.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, sampling, tables
from seqgen.errors import UsageError, not_among, out_of_range

TEST_SIZE = 10_000  # drawn points of each evaluated split, where none is asked for
TURNS = 1.5  # of the spiral


class Shape(NamedTuple):
    """A mode by chance, all being equally likely, a place that belongs to it, and noise.

    sigma: standard deviation of the noise, the same in both directions.
    classes: names of the modes.
    place: (mode, share in [0, 1) of the way along its curve) -> [2].
    centres: [M, 2] of the modes, None where those are curves.
    """

    sigma: float
    classes: tuple[str, ...]
    place: Callable[[jax.Array, jax.Array], jax.Array]
    centres: np.ndarray | None


def _mixture(centres_M2: np.ndarray, names: tuple[str, ...], sigma: float) -> Shape:
    def place(mode, share):
        del share  # a Gaussian's centre is one point
        return jnp.asarray(centres_M2, jnp.float32)[mode]

    return Shape(sigma, names, place, centres_M2)


def _ring() -> Shape:
    angles = np.arange(8) * (2 * np.pi / 8)
    # rounded, so that 0 is 0 in the spec
    centres = np.round(np.stack([np.cos(angles), np.sin(angles)], axis=-1), 12) + 0.0
    return _mixture(centres, tuple(f"{45 * k}°" for k in range(8)), 0.01)


def _grid() -> Shape:
    centres = [(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]
    return _mixture(np.asarray(centres, float), tuple(f"({x}, {y})" for x, y in centres), 0.05)


def _moon(mode: jax.Array, share: jax.Array) -> jax.Array:
    """Half a circle of radius 1, and another, upside down, that reaches into it."""
    x, y = jnp.cos(math.pi * share), jnp.sin(math.pi * share)
    return jnp.where(mode == 0, jnp.stack([x, y]), jnp.stack([1 - x, 0.5 - y]))


def _spiral(mode: jax.Array, share: jax.Array) -> jax.Array:
    """Radius in proportion to the angle; by the root of the share no part of it is crowded."""
    del mode
    radius = jnp.sqrt(share)
    angle = 2 * math.pi * TURNS * radius
    return radius * jnp.stack([jnp.cos(angle), jnp.sin(angle)])


SHAPES = {
    "ring": _ring(),
    "grid": _grid(),
    "moons": Shape(0.05, ("upper", "lower"), _moon, None),
    "spiral": Shape(0.02, ("spiral",), _spiral, None),
}
FILE = "file"


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 512
    shape: str = "ring"  # ring of 8 Gaussians, grid of 25, moons, spiral; file: that in `path`
    path: str | None = None  # a CSV of two columns, a header or none; for shape=file alone
    sigma: float | None = None  # of the noise; None: as is usual for the shape
    rare: float | None = None  # share of the first mode; None: all are equally likely
    train_size: int | None = None  # points of a finite sample; None: endless, or all of the file
    test_size: int | None = None  # of each evaluated split; None: 10,000, or a tenth of the file

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            "dataset.",
            batch_size="[1, inf)",
            sigma="(0, inf)",
            rare="(0, 1)",
            train_size="[1, inf)",
            test_size="[1, inf)",
        )
        yield from not_among(self, "dataset.", shape=(*SHAPES, FILE))
        if (self.shape == FILE) != (self.path is not None):
            yield "dataset.shape=file and dataset.path, a CSV's, need each other"
        if self.rare is not None and self.shape in ("spiral", FILE):
            yield f"dataset.rare is of shapes of several modes, not of {self.shape}"
        if self.shape == FILE and self.sigma is not None:
            yield "dataset.sigma is of points that are drawn, not of a file's"


def make(options: Options) -> Dataset:
    """inputs [2]: a point; target: its mode, 0 where there is but one.

    A file's points are standardised, each column on its own: (x - mean) / scale, mean and standard
    deviation being those of the points to train on. They are in the spec, and are 0 and 1 for all
    other shapes; "modes" are given in the inputs' units.
    """
    sampling.check(options)
    return _stored(options) if options.shape == FILE else _drawn(options)


def _spec(classes: tuple[str, ...], mean: list[float], scale: list[float]) -> dict[str, Any]:
    return {
        "dataset": "points",
        "streamed": False,
        "inputs": {"kind": "vector", "size": 2},
        "targets": {"kind": "category", "size": len(classes), "per": "sequence"},
        "classes": list(classes),
        "mean": mean,
        "scale": scale,
    }


def _drawn(options: Options) -> Dataset:
    shape = SHAPES[options.shape]
    sigma = shape.sigma if options.sigma is None else options.sigma
    spec = _spec(shape.classes, [0.0, 0.0], [1.0, 1.0])
    if shape.centres is not None and options.rare is None:
        spec["modes"] = {"centres": shape.centres.tolist(), "sigma": sigma}

    def draw_mode(key):
        if options.rare is None:
            return jax.random.randint(key, (), 0, len(shape.classes), jnp.int32)
        key_rare, key_other = jax.random.split(key)
        other = jax.random.randint(key_other, (), 1, len(shape.classes), jnp.int32)
        return jnp.where(jax.random.bernoulli(key_rare, options.rare), 0, other)

    def draw(key):
        key_mode, key_share, key_noise = jax.random.split(key, 3)
        mode = draw_mode(key_mode)
        place = shape.place(mode, jax.random.uniform(key_share, (), jnp.float32))
        noise = sigma * jax.random.normal(key_noise, (2,), jnp.float32)
        return {"inputs": place + noise, "targets": mode}

    if options.test_size is None:
        options = dataclasses.replace(options, test_size=TEST_SIZE)
    return sampling.generated(spec, options, 1, draw, train_size=options.train_size)


def _stored(options: Options) -> Dataset:
    file = sampling.located(options.path, None)
    splits = _split(tables.read(file, columns=2), file, options)
    mean_2, scale_2 = splits["train"].mean(axis=0), splits["train"].std(axis=0)
    scale_2 = np.where(scale_2 > 0, scale_2, 1.0)  # of a single point, or of a constant
    spec = _spec(("points",), mean_2.tolist(), scale_2.tolist())
    arrays = {
        split: {
            "inputs": _standardised(spec, points_N2),
            "targets": np.zeros(len(points_N2), np.uint8),
        }
        for split, points_N2 in splits.items()
    }
    return sampling.stored(spec, arrays, options.batch_size, dict)


def _split(points_N2: np.ndarray, file: Path, options: Options) -> dict[str, np.ndarray]:
    """Points by split, shuffled, always in the same way; fewer to train on are the first of more"""
    count, each = len(points_N2), options.test_size
    if each is None:
        each = max(1, count // 10)
    left = count - 2 * each
    if left < 1:
        raise UsageError(
            f"{file} has {count} points, which leaves none to train on beside {each} for each of "
            "two splits (dataset.test_size)"
        )
    size = left if options.train_size is None else options.train_size
    if size > left:
        raise UsageError(f"dataset.train_size={size}, but {file} has {left} points to train on")
    # RandomState's numbers never change (NEP 19), those of default_rng may
    order_N = np.random.RandomState(0).permutation(count)
    places = np.split(order_N, [each, 2 * each, 2 * each + size])[:3]
    return {
        split: points_N2[chosen]
        for split, chosen in zip(("test", "valid", "train"), places, strict=True)
    }


def _standardised(spec: dict[str, Any], points_X2: np.ndarray) -> np.ndarray:
    return ((points_X2 - np.asarray(spec["mean"])) / np.asarray(spec["scale"])).astype(np.float32)


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """float32 [2] of a line "x,y" in the data's own units. Raises UsageError for any other text."""
    return _standardised(spec, np.asarray(tables.numbers("the point", raw.strip(), columns=2)))


def decode(spec: dict[str, Any], array: np.ndarray) -> str:
    """The shortest line "x,y", in the data's own units, that `encode` reads as these numbers."""

    def shortest(value, mean, scale):
        number = mean + scale * float(value)
        for near in (0.0, *(float(f"{number:.{digits}g}") for digits in range(1, 17)), number):
            if np.float32((near - mean) / scale) == value:
                break
        return repr(near).removesuffix(".0")

    columns = zip(np.asarray(array, np.float32), spec["mean"], spec["scale"], strict=True)
    return ",".join(shortest(*column) for column in columns)
