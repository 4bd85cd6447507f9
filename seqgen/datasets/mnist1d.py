"""MNIST-1D (Greydanus & Kobak 2020): digits as curves of 40 numbers, shifted and noisy.

The package `mnist1d` generates them, always the same: 4,000 to train on and 1,000 to test.
"""

import dataclasses
import random
from collections.abc import Iterator

import numpy as np

from seqgen.datasets import Dataset, sampling
from seqgen.errors import out_of_range, require

LENGTH, TRAIN = 40, 4000


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int = 100
    valid_size: int = 500  # the last so many training examples are for validation

    def problems(self) -> Iterator[str]:
        yield from out_of_range(self, "dataset.", batch_size="[1, inf)", valid_size=f"[1, {TRAIN})")


def make(options: Options) -> Dataset:
    """inputs [40, 1]: the curve, of mean 0 and deviation 1 over all data; target: the digit.

    Raises UsageError where the package is not installed.
    """
    sampling.check(options)
    made = require("mnist1d.data", "mnist1d")
    before = np.random.get_state(), random.getstate()  # the package sets the seeds of everyone
    try:
        found = made.make_dataset()
    finally:
        np.random.set_state(before[0])
        random.setstate(before[1])
    inputs, targets = found["x"].reshape(-1, LENGTH, 1), found["y"].astype(np.uint8)
    test = found["x_test"].reshape(-1, LENGTH, 1)
    cut = len(inputs) - options.valid_size
    arrays = {
        "train": {"inputs": inputs[:cut].astype(np.float32), "targets": targets[:cut]},
        "valid": {"inputs": inputs[cut:].astype(np.float32), "targets": targets[cut:]},
        "test": {"inputs": test.astype(np.float32), "targets": found["y_test"].astype(np.uint8)},
    }
    spec = {
        "dataset": "mnist1d",
        "length": LENGTH,
        "streamed": False,
        "inputs": {"kind": "real", "size": 1},
        "targets": {"kind": "category", "size": 10, "per": "sequence"},
        "classes": [str(digit) for digit in range(10)],
    }
    return sampling.stored(spec, arrays, options.batch_size, lambda fields: fields)
