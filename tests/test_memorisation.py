"""Copies of the training set are caught, honest samplers are not, however dense they sample."""

import numpy as np
import pytest
from scipy import stats

from seqgen.errors import UsageError
from seqgen.metrics import memorisation


def drawn(seed, scale=1.0, n=150, size=4):
    random = np.random.RandomState(seed)
    return random.randn(2 * n, size), random.randn(n, size), scale * random.randn(n, size)


def test_an_honest_sampler_is_suspected_no_more_often_than_alpha():
    found = [memorisation.nearest_neighbours(*drawn(seed)) for seed in range(150)]
    suspected = sum(one.p_value <= 0.05 for one in found)
    assert suspected <= stats.binom.ppf(0.999, 150, 0.05)
    assert np.mean([one.closer.value for one in found]) == pytest.approx(0.5, abs=0.01)
    # one of 150 held-out examples is nearer
    assert np.mean([one.near.value for one in found]) == pytest.approx(2 / 151, abs=0.003)
    assert all(one.copies.value == 0 for one in found)


@pytest.mark.parametrize("noise", [0.0, 0.05])
def test_a_copying_generator_is_caught_also_where_it_copies_a_part(noise):
    random = np.random.RandomState(7)
    train, held_out, fake = drawn(0)
    copied = train[:150] + noise * random.randn(150, 4)
    found = memorisation.nearest_neighbours(train, held_out, copied)
    assert found.p_value < 1e-6
    assert found.closer.low > 0.9
    assert found.near.low > 0.8
    assert found.copies.value == (noise == 0)
    part = memorisation.nearest_neighbours(
        train, held_out, np.concatenate([copied[:50], fake[:100]])
    )
    assert part.p_value < 0.01
    assert part.near.low > 0.2


def test_to_prefer_dense_regions_is_not_to_copy():
    narrow = [memorisation.nearest_neighbours(*drawn(seed, scale=0.6)) for seed in range(20)]
    assert np.mean([one.closer.value for one in narrow]) == pytest.approx(0.5, abs=0.07)
    assert np.mean([one.near.value for one in narrow]) < 0.03


def test_to_be_farther_than_held_out_data_is_not_to_copy():
    train, held_out, fake = drawn(6)
    found = memorisation.nearest_neighbours(train, held_out, 4 * fake)
    assert found.closer.high < 0.5
    assert found.p_value > 0.95


def test_an_example_stored_several_times_hides_no_copy():
    train, held_out, _ = drawn(3)
    train = np.repeat(train[:100], 3, axis=0)
    copied = train[::2] + 1e-3
    assert memorisation.nearest_neighbours(train, held_out, copied).closer.low > 0.9


def test_held_out_data_that_repeat_the_training_set_are_told():
    train, _, _ = drawn(4)
    found = memorisation.nearest_neighbours(train, train[:50], train[50:100])
    assert found.copies.value == found.copies_held_out.value == 1
    assert found.p_value >= 0.5


def test_no_more_examples_than_allowed_are_used():
    sets = drawn(5)
    found = memorisation.nearest_neighbours(*sets, most=40, most_trained=60)
    assert (found.trained_on, found.n, found.m) == (60, 40, 40)
    assert found == memorisation.nearest_neighbours(*sets, most=40, most_trained=60)
    with pytest.raises(UsageError, match="k must be"):
        memorisation.nearest_neighbours(*sets, 1)
