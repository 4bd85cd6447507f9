"""Batches of like length: the same examples as without, and the same numbers, in few shapes."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs

from seqgen import config as configs
from seqgen.datasets import buckets, scan
from seqgen.evaluator import Evaluator
from seqgen.interrupt import Interrupt, Interrupted

SIZE, BATCH, LONGEST, COUNT = 50, 4, 12, 3


@pytest.fixture(scope="module")
def dataset():
    """Rows of random length, each full of its own number."""
    random = np.random.RandomState(0)
    length_N = random.randint(1, LONGEST + 1, SIZE)
    number_N1 = np.arange(1, SIZE + 1)[:, None]
    rows_NT = np.where(np.arange(LONGEST) < length_N[:, None], number_N1, 0).astype(np.uint8)
    arrays = {"train": {"inputs": rows_NT, "length_B": length_N.astype(np.int32)}}
    lengths = {"train": {"inputs": length_N}}
    return buckets.stored({"dataset": "rows"}, arrays, lengths, BATCH, COUNT)


@pytest.fixture(scope="module")
def draw(dataset):
    compiled = jax.jit(dataset.batch, static_argnums=(1, 4))

    def one(index, key):
        shape = dataset.shape("train", index, key is not None)
        return jax.device_get(compiled(dataset.arrays, "train", jnp.int32(index), key, *shape))

    return one


def assert_whole(batch):
    """Every row holds all of its example, which its own number names."""
    for row, length, number in zip(
        *(batch[n] for n in ("inputs", "length_B", "index_B")), strict=True
    ):
        assert row[:length].tolist() == [number + 1] * length and not row[length:].any()


def test_training_draws_every_example_of_a_bucket_once_an_epoch(dataset, draw):
    turns = dataset.num_batches["train"]
    drawn = {}
    for index in range(6 * turns):
        batch = draw(index, jax.random.key(0))
        assert_whole(batch)
        drawn.setdefault(dataset.shape("train", index, True), []).append(batch["index_B"])
    assert len(drawn) == COUNT
    members = []
    for numbers in map(np.concatenate, drawn.values()):
        size = len(set(numbers.tolist()))
        epochs = numbers[: len(numbers) // size * size].reshape(-1, size)
        assert len(epochs) >= 5
        assert (np.sort(epochs, axis=1) == np.unique(numbers)).all()
        assert len({tuple(epoch) for epoch in epochs.tolist()}) > 1
        members += np.unique(numbers).tolist()
    assert sorted(members) == list(range(SIZE))


def test_batches_are_no_longer_than_their_bucket_and_buckets_differ(dataset, draw):
    widths = {}
    for index in range(dataset.num_batches["train"]):
        for key in (None, jax.random.key(0)):
            bucket = dataset.shape("train", index, key is not None)
            batch = draw(index, key)
            widths.setdefault(bucket, set()).add(batch["inputs"].shape[1])
            assert batch["length_B"].max() <= batch["inputs"].shape[1]
    assert [len(found) for found in widths.values()] == [1] * COUNT
    assert max(map(max, widths.values())) == LONGEST > min(map(max, widths.values()))


def test_evaluation_passes_over_every_example_once(dataset, draw):
    seen = []
    for index in range(dataset.num_batches["train"]):
        batch = draw(index, None)
        assert_whole(batch)
        seen += batch["index_B"][batch["weight_B"] == 1].tolist()
    assert sorted(seen) == list(range(SIZE))


def answering(count):
    """A small model of answers, its data in so many buckets."""
    c = configs.default(dataset="scan", model="encoder_decoder", objective="likelihood")
    c.dataset.split, c.dataset.valid_share = "length", 0.02
    c.dataset.buckets, c.dataset.batch_size = count, 64
    c.model.hidden_size = c.model.embedding_size = 8
    c.num_steps, c.log_every, c.eval_every, c.checkpoint_every = 12, 4, 12, 4
    return c


@pytest.mark.slow
def test_no_number_depends_on_the_buckets():
    mesh = jax.make_mesh((2,), ("batch",), (jax.sharding.AxisType.Auto,))
    found, count = {}, 2
    for number in (None, count):
        c = answering(number)
        data = scan.make(configs.options(c, "dataset"))
        objective = configs.assemble(c, data.spec)
        if number is None:
            params, _ = objective.init(
                jax.random.key(0), data.batch(data.arrays, "valid", jnp.int32(0), None)
            )
        with Interrupt() as interrupt:
            found[number] = Evaluator(objective, data, "valid", mesh)(
                params, data.arrays, interrupt
            )
        found[number]["fingerprint"] = data.fingerprint
    assert found[None].pop("fingerprint") == found[count].pop("fingerprint")
    assert found[count] == pytest.approx(found[None], rel=1e-5)


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_bucket_that_is_due(tmp_path):
    runs.run(answering(2), tmp_path / "whole")

    def stop_early(session, interrupt):
        def call(state, arrays, step, count):
            interrupt.requested = "SIGTERM" if step == 6 else None
            return session.call(state, arrays, step, count)

        return session._replace(call=call)

    with pytest.raises(Interrupted):
        runs.run(answering(2), tmp_path / "parts", stop_early)
    runs.run(answering(2), tmp_path / "parts")
    final = partial(runs.final_state, answering(2))
    runs.assert_same_bytes(final(tmp_path / "parts"), final(tmp_path / "whole"))
