"""Use of a latent vector, where it is known: nothing, everything, or one number of it."""

import math

import numpy as np
import pytest

from seqgen.metrics import latents

RANDOM = np.random.RandomState(1)


def test_units_that_say_something_vary():
    mean_NZ = np.stack([RANDOM.randn(100), 0.05 * RANDOM.randn(100), np.full(100, 3.0)], axis=1)
    np.testing.assert_array_equal(latents.active_units(mean_NZ), [True, False, False])


def test_posteriors_that_are_the_prior_say_nothing():
    found = latents.aggregate(np.zeros((300, 4)), np.zeros((300, 4)))
    assert found == latents.Aggregate(pytest.approx(0), pytest.approx(0), 300)


def test_posteriors_apart_tell_the_example():
    mean_NZ = 100.0 * np.arange(50)[:, None]
    found = latents.aggregate(mean_NZ, np.zeros((50, 1)))
    assert found.mutual_information == pytest.approx(math.log(50))


def test_both_parts_are_the_mean_divergence_from_the_prior():
    mean_NZ, log_variance_NZ = 0.5 * RANDOM.randn(2, 2000, 3)
    found = latents.aggregate(mean_NZ, log_variance_NZ)
    kl_NZ = 0.5 * (mean_NZ**2 + np.expm1(log_variance_NZ) - log_variance_NZ)
    assert found.kl + found.mutual_information == pytest.approx(kl_NZ.sum(1).mean(), abs=0.1)


def test_no_more_than_so_many_examples_are_compared():
    mean_NZ = RANDOM.randn(latents.EXAMPLES + 5, 2)
    assert latents.aggregate(mean_NZ, mean_NZ).n == latents.EXAMPLES


def test_a_path_is_as_abrupt_as_its_largest_step():
    even_SHW = np.linspace(0, 1, 9)[:, None, None] * np.ones((9, 2, 3))
    jump_SF = np.repeat([[0.0, 0.0], [3.0, 4.0]], [3, 6], axis=0)
    assert latents.abruptness(even_SHW) == pytest.approx(1)
    assert latents.abruptness(jump_SF) == pytest.approx(8)  # one step of 5, seven of none
    assert latents.abruptness([[0.0], [1.0], [4.0]]) == pytest.approx(3 / 2)
    assert math.isnan(latents.abruptness(np.ones((4, 2))))
