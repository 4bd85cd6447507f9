"""Which examples make up batch number i."""

import collections
import dataclasses
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.datasets import sampling


def permutation(seed, size):
    places = jax.vmap(lambda position: sampling.permute(jax.random.key(seed), position, size))
    return np.asarray(jax.jit(places)(jnp.arange(size)))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 7, 64, 65, 997, 1797])
def test_permute_is_a_bijection(size):
    for seed in range(3):
        assert np.array_equal(np.sort(permutation(seed, size)), np.arange(size))


def test_permute_reaches_every_permutation_equally_often():
    size, trials = 4, 24_000
    keys = jax.random.split(jax.random.key(0), trials)
    one = lambda key: jax.vmap(lambda i: sampling.permute(key, i, size))(jnp.arange(size))  # noqa: E731
    counts = collections.Counter(map(tuple, np.asarray(jax.jit(jax.vmap(one))(keys)).tolist()))
    assert set(counts) == set(itertools.permutations(range(size)))
    expected = trials / 24
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 49.7  # 23 degrees of freedom, p = 0.001


def test_permute_leaves_no_trace_of_the_order():
    size = 5000
    shuffled = permutation(1, size).astype(float)
    # under independence all three are normal with standard deviation 1 / sqrt(size)
    rank = np.corrcoef(shuffled, np.arange(size))[0, 1]
    neighbours = np.corrcoef(shuffled[1:], shuffled[:-1])[0, 1]
    epochs = np.corrcoef(shuffled, permutation(2, size))[0, 1]
    assert max(abs(rank), abs(neighbours), abs(epochs)) < 4 / np.sqrt(size)


@pytest.mark.parametrize(("size", "batch_size"), [(10, 4), (7, 7), (3, 8), (1, 2), (12, 1)])
def test_every_example_comes_once_an_epoch(size, batch_size):
    draw = jax.jit(lambda i: sampling.shuffled(jax.random.key(0), i, batch_size, size))
    count = 3 * size
    stream = np.concatenate([draw(jnp.int32(index)) for index in range(count)])
    epochs = stream[: len(stream) // size * size].reshape(-1, size)
    assert (np.sort(epochs, axis=1) == np.arange(size)).all()
    if size > 5:
        assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1


def test_shuffled_survives_numbers_whose_product_with_the_batch_overflows():
    size, batch_size = 1000, 512
    last = 2**31 - 1
    index = next(i for i in range(last, 0, -1) if i * batch_size % size <= size - batch_size)
    assert index * batch_size > last
    draw = jax.jit(lambda i: sampling.shuffled(jax.random.key(0), i, batch_size, size))
    epoch, start = divmod(index * batch_size, size)  # Python's integers have no end
    key = jax.random.fold_in(jax.random.key(0), epoch)
    places = jnp.arange(start, start + batch_size)
    expected = jax.jit(jax.vmap(lambda place: sampling.permute(key, place, size)))(places)
    assert np.array_equal(draw(jnp.int32(index)), expected)


def test_in_order_fills_up_the_last_batch_with_weight_0():
    index_B, weight_B = sampling.in_order(jnp.int32(2), 4, 10)
    assert index_B.tolist() == [8, 9, 9, 9]
    assert weight_B.tolist() == [1, 1, 0, 0]


@dataclasses.dataclass(frozen=True)
class Options:
    batch_size: int
    test_size: int = 30
    train_size: int | None = None


def numbers(batch_size, version=1, **options):
    """A generated dataset whose examples are single random numbers."""
    draw = lambda key: {"inputs": jax.random.uniform(key)}  # noqa: E731
    options = Options(batch_size, **options)
    size = options.train_size
    return sampling.generated({"dataset": "numbers"}, options, version, draw, train_size=size)


def evaluated(dataset, split):
    found = [
        dataset.batch({}, split, jnp.int32(i), None) for i in range(dataset.num_batches[split])
    ]
    real = [np.asarray(b["inputs"])[np.asarray(b["weight_B"]) == 1] for b in found]
    return np.concatenate(real)


def test_generated_evaluation_does_not_depend_on_the_batch_size():
    assert evaluated(numbers(7), "valid").shape == (30,)
    assert np.array_equal(evaluated(numbers(7), "valid"), evaluated(numbers(30), "valid"))


def test_no_generated_example_comes_twice():
    dataset = numbers(30)
    drawn = [evaluated(dataset, split) for split in ("train", "valid", "test")]
    for seed in (0, sampling.EVALUATION_SEED):
        batches = [dataset.batch({}, "train", jnp.int32(i), jax.random.key(seed)) for i in range(3)]
        drawn += [np.asarray(b["inputs"]) for b in batches]
    everything = np.concatenate(drawn)
    assert len(np.unique(everything)) == len(everything) == 270


def trained(dataset, count, seed=0):
    """(the numbers, their index_B) of the first training batches, laid end to end."""
    batch = jax.jit(dataset.batch, static_argnums=1)
    found = [batch({}, "train", jnp.int32(i), jax.random.key(seed)) for i in range(count)]
    return [np.concatenate([b[name] for b in found]) for name in ("inputs", "index_B")]


def test_a_finite_sample_comes_once_an_epoch_and_is_the_same_for_every_run():
    dataset = numbers(8, train_size=20)
    drawn, index = trained(dataset, 15)
    sample = evaluated(dataset, "train")
    assert len(np.unique(sample)) == 20
    assert np.array_equal(drawn, sample[index])
    epochs = np.sort(drawn.reshape(6, 20), axis=1)
    assert (epochs == np.sort(sample)).all()
    other, _ = trained(dataset, 5, seed=1)
    assert not np.array_equal(other, drawn[:40])
    assert set(other.tolist()) == set(sample.tolist())


def test_a_smaller_sample_is_the_beginning_of_a_larger_one_and_no_evaluated_example_is_in_it():
    small, large = numbers(8, train_size=20), numbers(16, train_size=50)
    assert np.array_equal(evaluated(small, "train"), evaluated(large, "train")[:20])
    assert small.fingerprint != large.fingerprint
    splits = [evaluated(large, split) for split in ("train", "valid", "test")]
    assert [len(split) for split in splits] == [50, 30, 30]
    assert len(np.unique(np.concatenate(splits))) == 110


def test_generated_evaluation_is_the_same_under_every_generator():
    before = evaluated(numbers(30), "test")
    with jax.default_prng_impl("rbg"):
        assert np.array_equal(evaluated(numbers(30), "test"), before)


def test_fingerprint_of_a_generated_dataset_follows_what_it_generates():
    base = numbers(8).fingerprint
    assert numbers(9).fingerprint == base
    assert numbers(8, test_size=31).fingerprint != base
    assert numbers(8, version=2).fingerprint != base


def test_digest_sees_every_part():
    array = np.arange(6, dtype=np.uint8)
    digests = {
        sampling.digest({"a": 1}, {"train": {"x": array}}),
        sampling.digest({"a": 2}, {"train": {"x": array}}),
        sampling.digest({"a": 1}, {"valid": {"x": array}}),
        sampling.digest({"a": 1}, {"train": {"y": array}}),
        sampling.digest({"a": 1}, {"train": {"x": array.reshape(2, 3)}}),
        sampling.digest({"a": 1}, {"train": {"x": array.view(np.int8)}}),
        sampling.digest({"a": 1}, {"train": {"x": array[::-1]}}),
    }
    assert len(digests) == 7
