"""Precision, recall, density, coverage: against a plain loop; modes: against examples by hand."""

import math

import numpy as np
import pytest

from seqgen.errors import UsageError
from seqgen.metrics import coverage

RING = np.stack([np.cos(np.arange(8) * np.pi / 4), np.sin(np.arange(8) * np.pi / 4)], axis=1)


def plain(x_NF, y_MF, k):
    """The four shares, by their definitions."""

    def radius(a, those):
        return sorted(np.linalg.norm(a - b) for b in those)[k]

    around_x = [radius(x, x_NF) for x in x_NF]
    around_y = [radius(y, y_MF) for y in y_MF]
    far = [[np.linalg.norm(x - y) for y in y_MF] for x in x_NF]
    n, m = range(len(x_NF)), range(len(y_MF))
    precision = sum(any(far[i][j] <= around_x[i] for i in n) for j in m) / len(m)
    recall = sum(any(far[i][j] <= around_y[j] for j in m) for i in n) / len(n)
    density = sum(far[i][j] <= around_x[i] for i in n for j in m) / (k * len(m))
    covered = sum(any(far[i][j] <= around_x[i] for j in m) for i in n) / len(n)
    return precision, recall, density, covered


@pytest.mark.parametrize("n, m, k", [(30, 20, 3), (17, 40, 5), (25, 25, 1)])
def test_neighbours_are_those_of_a_plain_loop(n, m, k):
    random = np.random.RandomState(n)
    x_NF, y_MF = random.randn(n, 3), 0.7 * random.randn(m, 3)
    found = coverage.neighbours(x_NF, y_MF, k, draws=4)
    assert [share.value for share in found[:4]] == pytest.approx(plain(x_NF, y_MF, k))
    assert found[4:] == (k, n, m)


def test_equal_distributions_are_covered_and_a_collapse_is_not():
    random = np.random.RandomState(0)
    real, fake = random.randn(600, 2), random.randn(500, 2)
    found = coverage.neighbours(real, fake)
    assert found.coverage.value == pytest.approx(1 - (600 / 1100) ** 5, abs=0.03)
    assert found.density.value == pytest.approx(1, abs=0.1)
    half = coverage.neighbours(real, fake[fake[:, 0] > 0])
    assert half.coverage.high < 0.65
    assert half.recall.high < 0.65
    assert half.precision.low > 0.9
    noisy = coverage.neighbours(real, np.concatenate([fake[:250], 20 + fake[250:]]))
    assert noisy.precision.high < 0.6
    assert noisy.coverage.low > 0.6


def test_the_intervals_hold_the_mean_over_draws_of_both_sets():
    found = []
    for seed in range(100):
        random = np.random.RandomState(seed)
        x_NF, y_MF = random.randn(100, 2), 0.8 * random.randn(100, 2) + 0.5
        found.append(coverage.neighbours(x_NF, y_MF, draws=20)[:4])
    for one in zip(*found, strict=True):
        mean = np.mean([share.value for share in one])
        assert sum(low <= mean <= high for _, low, high in one) >= 88


def test_no_more_examples_than_allowed_are_used():
    x_NF = np.random.RandomState(0).randn(90, 2)
    found = coverage.neighbours(x_NF, x_NF, most=40, draws=2)
    assert (found.n, found.m) == (40, 40)
    assert found == coverage.neighbours(x_NF, x_NF, most=40, draws=2)
    with pytest.raises(UsageError, match="k must be"):
        coverage.neighbours(x_NF, x_NF, 20, most=40)


def test_modes_of_an_example_by_hand():
    centres = np.asarray([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    samples = np.asarray([[0.0, 2.9], [0, 0], [0, 0], [10, 2], [10, 3.1], [5, 5.0]])
    found = coverage.modes(samples, centres, sigma=1.0)
    assert (found.captured, found.modes, found.n) == (2, 4, 6)
    assert found.high_quality.value == pytest.approx(4 / 6)  # not 3.1 away, not the middle
    # three in the first mode, one in the second, as a sum by hand
    expected = 0.75 * math.log(0.75 / 0.25) + 0.25 * math.log(0.25 / 0.25)
    assert found.reverse_kl.value == pytest.approx(expected)


@pytest.mark.parametrize("captured", [1, 3, 8])
def test_reverse_kl_of_some_modes_alike_is_the_log_of_their_share(captured):
    found = coverage.modes(np.repeat(RING[:captured], 50, axis=0), RING, sigma=0.01)
    assert found.captured == captured
    assert found.reverse_kl.value == pytest.approx(math.log(8 / captured))
    assert found.high_quality.value == 1


def test_the_data_themselves_are_nearly_all_of_high_quality():
    random = np.random.RandomState(0)
    data = RING[random.randint(8, size=20_000)] + 0.01 * random.randn(20_000, 2)
    found = coverage.modes(data, RING, sigma=0.01)
    assert found.high_quality.value == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert found.reverse_kl.low == 0
    assert found.reverse_kl.value < 0.001


def test_the_interval_of_reverse_kl_holds_the_truth():
    shares = np.asarray([0.3, 0.2, 0.1, 0.1, 0.1, 0.1, 0.05, 0.05])
    truth = np.sum(shares * np.log(shares * 8))
    held = 0
    for seed in range(200):
        chosen = np.random.RandomState(seed).choice(8, size=300, p=shares)
        found = coverage.modes(RING[chosen], RING, sigma=0.01, draws=200).reverse_kl
        held += found.low <= truth <= found.high
    assert 178 <= held <= 200


def test_samples_off_all_modes_have_no_distribution_of_modes():
    found = coverage.modes(np.full((5, 2), 9.0), RING, sigma=0.01)
    assert (found.captured, found.high_quality.value) == (0, 0)
    assert math.isnan(found.reverse_kl.value)
