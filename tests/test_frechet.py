"""The Fréchet distance: against closed forms, and against scipy's root of a matrix."""

import numpy as np
import pytest
from scipy import linalg

from seqgen.errors import UsageError
from seqgen.metrics import frechet


def covariance(seed, size=6):
    root_FF = np.random.RandomState(seed).randn(size, size)
    return root_FF @ root_FF.T


def test_gaussians_on_the_same_axes_have_a_closed_form():
    mean, other = np.asarray([0.0, 1.0, 2.0]), np.asarray([1.0, 1.0, 0.0])
    sigma, tau = np.asarray([1.0, 2.0, 0.0]), np.asarray([3.0, 2.0, 1.0])
    found = frechet.of_gaussians(mean, np.diag(sigma**2), other, np.diag(tau**2))
    assert found == pytest.approx(np.sum((mean - other) ** 2) + np.sum((sigma - tau) ** 2))


@pytest.mark.parametrize("seed", range(3))
def test_gaussians_of_any_shape_are_as_with_scipy(seed):
    one_FF, other_FF = covariance(seed), covariance(seed + 10)
    mean_F = np.arange(6.0)
    root_FF = linalg.sqrtm(one_FF @ other_FF).real
    theirs = np.sum(mean_F**2) + np.trace(one_FF + other_FF - 2 * root_FF)
    assert frechet.of_gaussians(mean_F, one_FF, 0 * mean_F, other_FF) == pytest.approx(theirs)


def test_a_gaussian_is_at_no_distance_from_itself_also_without_full_rank():
    flat_FF = np.outer(np.arange(6.0), np.arange(6.0))
    assert frechet.of_gaussians(np.zeros(6), flat_FF, np.zeros(6), flat_FF) < 1e-6


def test_fewer_examples_than_features_are_as_by_singular_values():
    random = np.random.RandomState(0)
    x_NF, y_MF = random.randn(8, 30), random.randn(9, 30)
    one_NF, other_MF = (x - x.mean(axis=0) for x in (x_NF, y_MF))
    # the root of C C' has the trace of the singular values of this
    product_NM = one_NF @ other_MF.T / np.sqrt(7 * 8)
    shared = np.sum(np.linalg.svd(product_NM, compute_uv=False))
    spread = np.sum(one_NF**2) / 7 + np.sum(other_MF**2) / 8
    theirs = np.sum((x_NF.mean(axis=0) - y_MF.mean(axis=0)) ** 2) + spread - 2 * shared
    assert frechet.distance(x_NF, y_MF, "noise").distance.value == pytest.approx(theirs)


def test_samples_are_as_far_apart_as_their_gaussians_and_the_interval_says_so():
    held = 0
    for seed in range(100):
        random = np.random.RandomState(seed)
        x_NF = random.randn(300, 2)
        y_MF = random.randn(300, 2) * np.asarray([2.0, 1.0]) + np.asarray([0.0, 1.0])
        found = frechet.distance(x_NF, y_MF, "points").distance
        held += found.low <= 2.0 <= found.high  # (2 - 1)^2 + 1^2
    assert 85 <= held <= 100


def test_the_name_tells_features_and_examples():
    x_NF = np.random.RandomState(0).randn(50, 2)
    assert frechet.distance(x_NF, x_NF, "pixels").name == "fd-pixels, n=50"
    found = frechet.distance(x_NF, x_NF[:40], "pixels")
    assert found.name == "fd-pixels, n=50 against 40"
    assert (found.n, found.m) == (50, 40)


def test_too_many_features_are_refused():
    wide_NF = np.zeros((4, frechet.WIDEST + 1))
    with pytest.raises(UsageError, match="at most 2048 features"):
        frechet.distance(wide_NF, wide_NF, "pixels")
