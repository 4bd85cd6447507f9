"""Evaluations: exact whatever a call takes, and compiled ahead for what they are called with."""

import time
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
from jax.sharding import NamedSharding, PartitionSpec

from seqgen import ahead, backend, evaluator, parts
from seqgen import config as configs
from seqgen.datasets import Dataset
from seqgen.interrupt import Interrupt, Interrupted

MEASURE = "Finished XLA compilation of jit(measure)"


@pytest.fixture
def parted(tmp_path):
    """(objective, dataset, parameters) of a streamed text, whose rows remember the last batch."""
    c = configs.settled(runs.small("text", tmp_path), None)
    c.dataset.batch_size, c.dataset.length = 2, 8
    dataset = parts.make_dataset(c)
    made = parts.make_parts(c, dataset.spec)
    return made.objective, dataset, parts.first_state(made, c, dataset.spec).params


def rows(objective, dataset, params):
    """Of an evaluator of its own: what it measures, and how many batches each call took."""
    own, took = evaluator.Evaluator(objective, dataset, "valid", mesh()), []
    measure = own._measure

    def counted(params, rows, arrays, first, count, shape):
        took.append(int(count))
        return measure(params, rows, arrays, first, count, shape)

    own._measure = counted
    with Interrupt() as interrupt:
        return own.rows(params, dataset.arrays, interrupt), took


def mesh():
    return backend.mesh(jax.devices()[:1])


def test_batches_of_one_call_are_those_of_calls_apart_and_of_a_plain_loop(parted, monkeypatch):
    objective, dataset, params = parted
    total = dataset.num_batches["valid"]
    monkeypatch.setattr(evaluator, "SHORT_SECONDS", -1.0)
    apart, took = rows(*parted)
    assert took == [1] * total
    monkeypatch.setattr(evaluator, "SHORT_SECONDS", np.inf)
    together, took = rows(*parted)
    assert sum(took) == total
    assert max(took) > 2
    assert len(together) == len(apart) == total
    for ours, theirs in zip(together, apart, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)

    memory = None
    for index in range(total):
        batch = dataset.batch(dataset.arrays, "valid", jnp.int32(index), None)
        memory = objective.init(jax.random.key(0), batch)[1] if memory is None else memory
        key = jax.random.fold_in(jax.random.key(0), index)
        measured, memory = objective.measure(params, memory, batch, key)
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), together[index], measured
        )


def test_a_signal_ends_it_between_two_calls(parted):
    objective, dataset, params = parted
    own, calls = evaluator.Evaluator(objective, dataset, "valid", mesh()), []
    measure = own._measure
    with Interrupt() as interrupt:

        def signalled(*arguments):
            calls.append(arguments)
            interrupt.requested = "SIGTERM" if len(calls) == 2 else None
            return measure(*arguments)

        own._measure = signalled
        with pytest.raises(Interrupted):
            own(params, dataset.arrays, interrupt)
    assert len(calls) == 2


def test_a_call_takes_batches_of_one_shape_and_begins_with_one(monkeypatch):
    """Shapes as buckets have them: what was quick of one says nothing of the next."""
    monkeypatch.setattr(evaluator, "SHORT_SECONDS", np.inf)
    shapes, took = [(4,)] * 7 + [(6,)] * 4 + [(4,)], []

    def batch(arrays, split, index, key, length):
        rows = {"weight_B": jnp.ones(2), "index_B": jnp.full(2, index)}
        return rows | {"inputs": jnp.ones((2, length)), "targets": jnp.zeros(2)}

    def measure(params, memory, batch, key):
        total_B = batch["inputs"].sum(1) + 100 * batch["index_B"]
        return {"total": (total_B, batch["weight_B"])}, memory

    number = {"valid": len(shapes)}
    dataset = Dataset({}, "", (), number, batch, lambda split, index, training: shapes[index])
    objective = SimpleNamespace(init=lambda key, batch: ({}, {"rows": ()}), measure=measure)
    own = evaluator.Evaluator(objective, dataset, "valid", mesh())
    jitted = own._measure
    own._measure = lambda *a: took.append((a[-1], int(a[-2]))) or jitted(*a)
    with Interrupt() as interrupt:
        pieces = own.rows({}, (), interrupt)
    wanted = [length + 100 * index for index, (length,) in enumerate(shapes)]
    assert [float(piece["total"][0][1]) for piece in pieces] == wanted
    assert took[:5] == [((4,), 1), ((4,), 1), ((4,), 2), ((4,), 3), ((6,), 1)]
    assert [shape for shape, _ in took[-2:]] == [(6,), (4,)]


def test_what_was_compiled_ahead_is_what_is_called(parted, caplog):
    objective, dataset, params = parted
    everywhere = NamedSharding(mesh(), PartitionSpec())
    there, arrays = jax.device_put((params, dataset.arrays), everywhere)
    shapes = ahead.placed(jax.eval_shape(lambda: params), everywhere)

    def compiles(own):
        caplog.clear()
        with Interrupt() as interrupt, jax.log_compiles():  # by this thread
            own(there, arrays, interrupt)
        return sum(MEASURE in message for message in caplog.messages)

    assert compiles(evaluator.Evaluator(objective, dataset, "valid", mesh())) == 1
    own = evaluator.Evaluator(objective, dataset, "valid", mesh())
    with ahead.compiler() as compiler:
        own.compile_ahead(compiler, shapes, arrays)
        assert compiles(own) == 0


def test_what_is_wrong_is_raised_where_it_is_called():
    def wrong(x):
        raise ValueError("no such thing")

    with ahead.compiler() as compiler:
        call = ahead.compiled(compiler, jax.jit(wrong), 1.0)
        with pytest.raises(ValueError, match="no such thing"):
            call(1.0)


def test_what_was_not_begun_is_compiled_by_the_call():
    add = jax.jit(lambda x: x + 1)
    with ahead.compiler() as compiler:
        compiler.submit(time.sleep, 0.2)
        call = ahead.compiled(compiler, add, 1.0)
    assert float(call(2.0)) == 3.0
