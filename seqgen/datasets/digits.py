"""Handwritten digits of 8 × 8 pixels, which scikit-learn ships, as sequences or as pictures.

1,797 images from the test set of "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak
1998), so nothing has to be downloaded.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np

from seqgen.datasets import Dataset, held_out, images, sampling
from seqgen.errors import not_among, out_of_range, require

# order -> (T, E) or (H, W, C)
SHAPES = {"rows": (8, 8), "pixels": (64, 1), "image": (8, 8, 1)}
ENDS = {"train": 1257, "valid": 1437, "test": 1797}  # 70, 10 and 20 % of the shuffled images
INK = 16.0  # the darkest pixel


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 32
    order: str = "rows"  # rows: 8 steps of 8 pixels; pixels: 64 steps of one; image: no steps
    train_size: int | None = None  # so many of the training images; None: all 1,257
    held_out: str | None = None  # a digit that train and valid lack, and test has: an anomaly

    def problems(self) -> Iterator[str]:
        train_size = f"[1, {ENDS['train']}]"
        yield from out_of_range(self, "dataset.", batch_size="[1, inf)", train_size=train_size)
        yield from not_among(self, "dataset.", order=SHAPES)


def make(options: Options) -> Dataset:
    """inputs [T, E] or [H, W, 1]: pixels in [0, 1], from the top left; target: the digit.

    The images lie grouped by writer, so they are shuffled before they are split, always in the same
    way. Raises UsageError where scikit-learn is not installed.
    """
    sampling.check(options)
    digits = require("sklearn.datasets", "data").load_digits()
    # RandomState's numbers never change (NEP 19), those of default_rng may
    order_N = np.random.RandomState(0).permutation(len(digits.target))
    inputs = arranged(options, digits.images.astype(np.uint8))[order_N]
    targets_N = digits.target.astype(np.uint8)[order_N]
    arrays, begin = {}, 0
    for split, end in ENDS.items():
        size = options.train_size if split == "train" else None
        arrays[split] = {
            name: array[begin:end][:size]
            for name, array in (("inputs", inputs), ("targets", targets_N))
        }
        begin = end
    spec = {
        "dataset": "digits",
        "streamed": False,
        **images.form(SHAPES[options.order]),
        "targets": {"kind": "category", "size": 10, "per": "sequence"},
        "classes": [str(digit) for digit in range(10)],
    }

    def read(fields):
        return fields | {"inputs": fields["inputs"].astype(jnp.float32) / INK}

    spec, arrays = held_out.leave_out(spec, arrays, options.held_out)
    return sampling.stored(spec, arrays, options.batch_size, read)


def arranged(options: Options, pictures: Any) -> Any:
    """Pictures [N, 8, 8, …] as the inputs of these options, [N, T, E] or [N, H, W, 1]."""
    return pictures.reshape(-1, *SHAPES[options.order])
