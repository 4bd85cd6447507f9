"""Intervals of differences: against the closed form for means, and against nothing at all."""

import numpy as np
import pytest

from seqgen.metrics import bootstrap


def rows(value_N, weight_N=None):
    weight_N = np.ones_like(value_N) if weight_N is None else weight_N
    return {"loss": np.stack([value_N, weight_N], axis=1)}


def drawn(seed, size=400):
    random = np.random.RandomState(seed)
    shared, own = random.randn(size), 0.1 * random.randn(2, size)
    return shared + own[0] + 0.03, shared + own[1]


@pytest.mark.parametrize("seed", range(3))
def test_the_interval_of_a_mean_is_that_of_the_normal_law(seed):
    first, second = drawn(seed)
    value, low, high = bootstrap.paired(rows(first), rows(second), dict)["loss"]
    difference = first - second
    assert value == pytest.approx(difference.mean())
    half = 1.96 * difference.std() / np.sqrt(len(difference))
    assert low == pytest.approx(value - half, abs=0.15 * half)
    assert high == pytest.approx(value + half, abs=0.15 * half)


def test_pairing_takes_out_what_both_models_find_hard():
    first, second = drawn(0)
    _, low, high = bootstrap.paired(rows(first), rows(second), dict)["loss"]
    _, wide_low, wide_high = bootstrap.paired(rows(first), rows(second[::-1]), dict)["loss"]
    assert wide_high - wide_low > 5 * (high - low)


def test_a_number_of_sums_is_computed_anew_for_each_draw():
    first, second = drawn(1)
    weight = np.arange(1.0, len(first) + 1)

    def finalize(means):
        return {"square": means["loss"] ** 2}

    value, low, high = bootstrap.paired(
        rows(first * weight, weight), rows(second * weight, weight), finalize
    )["square"]
    means = [np.sum(x * weight) / np.sum(weight) for x in (first, second)]
    assert value == pytest.approx(means[0] ** 2 - means[1] ** 2)
    assert low < value < high


def test_a_model_does_not_differ_from_itself():
    first, _ = drawn(2)
    assert bootstrap.paired(rows(first), rows(first), dict)["loss"] == (0, 0, 0)
