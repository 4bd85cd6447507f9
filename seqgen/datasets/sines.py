"""Multivariate time series of sines, the toy data of TimeGAN (Yoon, Jarrett & van der Schaar 2019).

That paper says x(t) = sin(2 pi eta t + theta) with eta ~ U[0, 1] and theta ~
U[-pi, pi], 5 features; the authors' published `data_loading.py` draws eta from U[0, 0.1] / (2 pi)
and theta from U[0, 0.1] instead, which is far easier, and scales by (x + 1) / 2 to [0, 1].
"""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, sampling, tables
from seqgen.errors import UsageError, not_among, out_of_range


class Ranges(NamedTuple):
    """Of uniform draws: eta in cycles per step, theta in radians."""

    eta: tuple[float, float]
    theta: tuple[float, float]


# at whole steps eta and 1 - eta look alike: those of the paper fill all frequencies from 0 to 1/2
RANGES = {
    "paper": Ranges((0.0, 1.0), (-math.pi, math.pi)),
    "code": Ranges((0.0, 0.1 / (2 * math.pi)), (0.0, 0.1)),
}


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 128
    length: int = 24  # steps of every series
    features: int = 5  # sines of each, independent of one another
    ranges: str = "paper"  # of frequencies and phases: the paper's, or its authors' code's
    train_size: int | None = None  # series of a finite sample; None: endless
    test_size: int = 1_000  # series of each evaluated split

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            "dataset.",
            batch_size="[1, inf)",
            length="[1, inf)",
            features="[1, inf)",
            train_size="[1, inf)",
            test_size="[1, inf)",
        )
        yield from not_among(self, "dataset.", ranges=RANGES)


def make(options: Options) -> Dataset:
    """inputs [T, E] in [0, 1]: (1 + sin(2 pi eta t + theta)) / 2 at t = 0 … T - 1, eta and theta
    drawn for each feature; the target is always 0."""
    sampling.check(options)
    ranges = RANGES[options.ranges]
    spec = {
        "dataset": "sines",
        "length": options.length,
        "streamed": False,
        "inputs": {"kind": "real", "size": options.features},
        "targets": {"kind": "category", "size": 1, "per": "sequence"},
        "classes": ["sines"],
    }

    def draw(key):
        def uniform(key, interval):
            low, high = interval
            shape = (1, options.features)
            return jax.random.uniform(key, shape, jnp.float32, jnp.float32(low), jnp.float32(high))

        key_eta, key_theta = jax.random.split(key)
        eta_1E, theta_1E = uniform(key_eta, ranges.eta), uniform(key_theta, ranges.theta)
        steps_T1 = jnp.arange(options.length, dtype=jnp.float32)[:, None]
        angle_TE = jnp.float32(2 * math.pi) * eta_1E * steps_T1 + theta_1E
        return {"inputs": (1 + jnp.sin(angle_TE)) / 2, "targets": jnp.int32(0)}

    return sampling.generated(spec, options, 1, draw, train_size=options.train_size)


def encode(spec: dict[str, Any], raw: str) -> np.ndarray:
    """float32 [T, E] of T lines of E numbers. Raises UsageError for any other text."""
    lines = raw.strip().splitlines()
    if len(lines) != spec["length"]:
        raise UsageError(f"the series has {len(lines)} lines, but {spec['length']} are needed")
    size = spec["inputs"]["size"]
    rows = [tables.numbers(f"line {n} of the series", x, size) for n, x in enumerate(lines, 1)]
    return np.asarray(rows, np.float32)


def decode(spec: dict[str, Any], array: np.ndarray) -> str:
    """T lines of E numbers, each the shortest that `encode` reads as it is."""
    del spec
    return tables.written(array)
