"""Handwritten digits of 8 × 8 pixels, which scikit-learn ships, read as sequences.

1,797 images from the test set of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak
1998), so nothing has to be downloaded.
"""

import dataclasses
from collections.abc import Iterator

import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, sampling
from seqgen.errors import not_among, out_of_range, require

SHAPES = {"rows": (8, 8), "pixels": (64, 1)}  # order -> (T, E)
ENDS = {"train": 1257, "valid": 1437, "test": 1797}  # 70, 10 and 20 % of the shuffled images
INK = 16.0  # the darkest pixel


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 32
    order: str = "rows"  # rows: 8 steps of 8 pixels; pixels: 64 steps of one

    def problems(self) -> Iterator[str]:
        yield from out_of_range(self, "dataset.", batch_size="[1, inf)")
        yield from not_among(self, "dataset.", order=SHAPES)


def make(options: Options) -> Dataset:
    """inputs [T, E]: pixels in [0, 1], from the top left; target: the digit.

    The images lie grouped by writer, so they are shuffled before they are split, always in the same
    way. Raises UsageError where scikit-learn is not installed.
    """
    sampling.check(options)
    images = require("sklearn.datasets", "data").load_digits()
    length, size = SHAPES[options.order]
    # RandomState's numbers never change (NEP 19), those of default_rng may
    order_N = np.random.RandomState(0).permutation(len(images.target))
    inputs_NTE = images.data.astype(np.uint8).reshape(-1, length, size)[order_N]
    targets_N = images.target.astype(np.uint8)[order_N]
    arrays, begin = {}, 0
    for split, end in ENDS.items():
        arrays[split] = {"inputs": inputs_NTE[begin:end], "targets": targets_N[begin:end]}
        begin = end
    spec = {
        "dataset": "digits",
        "length": length,
        "streamed": False,
        "inputs": {"kind": "real", "size": size},
        "targets": {"kind": "category", "size": 10, "per": "sequence"},
        "classes": [str(digit) for digit in range(10)],
    }

    def read(fields):
        return fields | {"inputs": fields["inputs"].astype(jnp.float32) / INK}

    return sampling.stored(spec, arrays, options.batch_size, read)
