"""MNIST-1D as the package makes it, held out as it should be; here a package of a few curves."""

import random
import sys
import types

import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.datasets import mnist1d
from seqgen.errors import UsageError


@pytest.fixture
def package(monkeypatch):
    """`mnist1d.data` in miniature: each curve is its own number, forty times."""
    made = types.ModuleType("mnist1d.data")

    def make_dataset():
        random.seed(42)
        np.random.seed(42)
        number_N = np.arange(4000.0)
        x, x_test = (np.repeat(n[:, None], 40, axis=1) for n in (number_N, -1 - number_N[:1000]))
        return {"x": x, "x_test": x_test, "y": number_N % 10, "y_test": number_N[:1000] % 7}

    made.make_dataset = make_dataset
    monkeypatch.setitem(sys.modules, "mnist1d", types.ModuleType("mnist1d"))
    monkeypatch.setitem(sys.modules, "mnist1d.data", made)


def test_validation_is_the_end_of_the_training_set_and_test_is_apart(package):
    dataset = mnist1d.make(mnist1d.Options(batch_size=1000, valid_size=700))
    sizes = {split: len(fields["targets"]) for split, fields in dataset.arrays.items()}
    assert sizes == {"train": 3300, "valid": 700, "test": 1000}
    batch = dataset.batch(dataset.arrays, "valid", jnp.int32(0), None)
    real_B = np.asarray(batch["weight_B"]) > 0
    assert real_B.sum() == 700 and batch["inputs"].shape == (1000, 40, 1)
    number_N = np.asarray(batch["inputs"])[real_B][:, 0, 0]
    np.testing.assert_array_equal(number_N, np.arange(3300, 4000))
    np.testing.assert_array_equal(np.asarray(batch["targets"])[real_B], number_N % 10)
    assert dataset.arrays["train"]["inputs"].max() == 3299
    assert dataset.arrays["test"]["inputs"].max() == -1
    np.testing.assert_array_equal(dataset.arrays["test"]["targets"], np.arange(1000) % 7)


def test_making_it_leaves_the_generators_of_others_alone(package):
    states = np.random.get_state()[1].copy(), random.getstate()
    mnist1d.make(mnist1d.Options())
    np.testing.assert_array_equal(np.random.get_state()[1], states[0])
    assert random.getstate() == states[1]


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "mnist1d", None)
    monkeypatch.setitem(sys.modules, "mnist1d.data", None)
    with pytest.raises(UsageError, match=r"pip install 'seqgen\[mnist1d\]'"):
        mnist1d.make(mnist1d.Options())
    (problem,) = mnist1d.Options(valid_size=4000).problems()
    assert "dataset.valid_size" in problem
