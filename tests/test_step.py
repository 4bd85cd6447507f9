"""The train step on a tiny language model, against plainer computations of the same thing."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from seqgen import config as configs
from seqgen import objectives, optimizer
from seqgen import step as steps
from seqgen.models import many_to_many
from seqgen.objectives import likelihood

V, B, T = 5, 4, 6
SPEC = {
    "dataset": "stream",
    "inputs": {"kind": "token", "size": V},
    "targets": {"kind": "category", "size": V, "per": "step"},
    "length": T,
    "streamed": True,
}
STREAM_BT = jax.random.randint(jax.random.key(7), (B, 10 * T + 1), 0, V)


def batch(index, key, poison=None):
    del key
    first = (index % 10) * T
    window = jax.lax.dynamic_slice(STREAM_BT, (0, first), (B, T + 1))
    weight_B = jnp.ones(B) if poison is None else jnp.where(index == poison, jnp.nan, jnp.ones(B))
    return {
        "inputs": window[:, :-1],
        "targets": window[:, 1:],
        "reset_B": jnp.full(B, index % 10 == 0),
        "weight_B": weight_B,
    }


def mesh_of(devices):
    auto = (jax.sharding.AxisType.Auto,)
    return jax.make_mesh((devices,), ("batch",), auto, devices=jax.devices()[:devices])


class Tiny:
    """A run in miniature."""

    def __init__(self, devices=1, batch=batch, model=(), chain=(), **options):
        model = many_to_many.make(many_to_many.Options(hidden_size=8, **dict(model)), SPEC)
        self.model, self.options = model, configs.RunOptions(**options)
        self.objective = likelihood.make(likelihood.Options(), model, SPEC)
        chain = {"rule": "adam", "learning_rate": 0.01} | dict(chain)
        self.optimizers = {"model": optimizer.make(optimizer.Options(**chain), 100)}
        mesh = mesh_of(devices)
        begin = lambda: steps.init(  # noqa: E731
            self.objective, self.optimizers, batch(jnp.int32(0), None), self.options, False
        )
        placed = steps.shardings(mesh, jax.eval_shape(begin))
        self.begin = jax.jit(begin, out_shardings=placed)
        self.step = steps.make_step(self.objective, self.optimizers, batch, self.options, mesh)
        self.call = jax.jit(self.step)

    def after(self, count):
        state = self.begin()
        for _ in range(count):
            state, metrics = self.call(state)
        return state, metrics


def leaves(tree):
    typed = lambda x: jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key)  # noqa: E731
    return [np.asarray(jax.random.key_data(x) if typed(x) else x) for x in jax.tree.leaves(tree)]


def close(a, b, **tolerance):
    jax.tree.map(partial(np.testing.assert_allclose, **tolerance), a, b)


def test_one_step_is_the_plain_gradient_step():
    """Against value_and_grad of the mean cross entropy, written out, and optax.sgd."""
    run = Tiny(chain={"rule": "sgd", "learning_rate": 0.5})
    state = run.begin()
    examples = batch(0, None)

    def mean_nats(params):
        _, logits_BTV = run.model.apply({"params": params}, examples["inputs"])
        log_p = jax.nn.log_softmax(logits_BTV)
        return -jnp.mean(jnp.take_along_axis(log_p, examples["targets"][..., None], axis=-1))

    loss, grads = jax.value_and_grad(mean_nats)(state.params["model"])
    expected = jax.tree.map(lambda p, g: p - 0.5 * g, state.params["model"], grads)
    state, metrics = run.call(state)
    close(state.params["model"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(metrics["loss"], loss, rtol=1e-5)
    np.testing.assert_allclose(metrics["gradient_norm"], optax.tree.norm(grads), rtol=1e-4)


@pytest.mark.parametrize("other", [{"devices": 2}, {"accumulate": 2}, {"accumulate": 4}])
def test_devices_and_accumulation_change_nothing_but_rounding(other):
    one, _ = Tiny().after(5)
    same, _ = Tiny(**other).after(5)
    close(one.params, same.params, rtol=1e-4, atol=1e-5)
    close(one.memory, same.memory, rtol=1e-4, atol=1e-5)


def test_several_steps_in_one_call_are_the_same_bytes():
    run = Tiny()
    one_by_one, _ = run.after(6)
    at_once, metrics = jax.jit(steps.several(run.step, 6))(run.begin())
    for a, b in zip(leaves(one_by_one), leaves(at_once), strict=True):
        np.testing.assert_array_equal(a, b)
    assert metrics["loss"].shape == (6,)


def test_the_carry_goes_on_from_batch_to_batch():
    """Two windows with the carry handed over see what one window of twice the length sees."""
    run = Tiny(chain={"learning_rate": 1e-30})
    params = run.begin().params["model"]
    _, first = run.call(run.begin())
    _, second = run.after(2)
    tokens = STREAM_BT[:, : 2 * T + 1]
    _, logits_BTV = run.model.apply({"params": params}, tokens[:, :-1])
    nats = optax.softmax_cross_entropy_with_integer_labels(logits_BTV, tokens[:, 1:])
    np.testing.assert_allclose(first["loss"], nats[:, :T].mean(), rtol=1e-5)
    np.testing.assert_allclose(second["loss"], nats[:, T:].mean(), rtol=1e-5)


def test_a_reset_row_starts_from_zeros():
    run = Tiny(chain={"learning_rate": 1e-30})
    _, begun = run.after(1)
    _, wrapped = run.after(11)  # batch 10 is batch 0 again, and its rows start anew
    np.testing.assert_allclose(begun["loss"], wrapped["loss"], rtol=1e-6)


def test_a_non_finite_step_leaves_everything_but_the_step_number():
    poisoned = Tiny(batch=partial(batch, poison=3), ema=0.9, chain={"clip_norm": 1.0})
    before, _ = poisoned.after(3)
    state, metrics = poisoned.call(before)
    for name in ("params", "opt_state", "ema", "memory", "key"):
        pairs = zip(leaves(getattr(before, name)), leaves(getattr(state, name)), strict=True)
        for a, b in pairs:
            np.testing.assert_array_equal(a, b)
    assert int(state.step) == 4
    assert int(metrics["nonfinite"]) == int(state.monitor.nonfinite) == 1
    state, metrics = poisoned.call(state)
    assert int(metrics["nonfinite"]) == 0
    assert np.isfinite(metrics["loss"])


def test_the_logged_learning_rate_is_the_applied_one_after_a_skipped_step():
    chain = {"rule": "sgd", "schedule": "linear", "learning_rate": 0.5}
    run = Tiny(batch=partial(batch, poison=3), chain=chain)
    before, _ = run.after(4)  # the last of them is skipped
    after, metrics = run.call(before)
    moved = jax.tree.map(jnp.subtract, after.params, before.params)
    applied = optax.tree.norm(moved) / metrics["clipped_norm"]
    np.testing.assert_allclose(metrics["learning_rate"], 0.5 * (1 - 4 / 100), rtol=1e-6)
    np.testing.assert_allclose(applied, metrics["learning_rate"], rtol=1e-5)


def test_every_parameter_moves_and_one_batch_can_be_learnt():
    always_first = lambda index, key: batch(jnp.int32(0), key)  # noqa: E731
    run = Tiny(batch=always_first, chain={"learning_rate": 0.05})
    first, _ = run.after(1)
    moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), run.begin().params, first.params)
    assert all(jax.tree.leaves(moved))
    _, metrics = run.after(150)
    assert metrics["loss"] < 0.1 * np.log(V)


def test_the_average_follows_the_parameters():
    run = Tiny(ema=0.5)
    state = run.begin()
    expected = state.params
    for number in range(4):
        state, _ = run.call(state)
        decay = min(0.5, (1 + number) / (10 + number))
        expected = jax.tree.map(lambda e, p, d=decay: d * e + (1 - d) * p, expected, state.params)
    close(state.ema, expected, rtol=1e-5, atol=1e-6)
    assert state.evaluated is state.ema


def test_clipping_is_counted():
    run = Tiny(chain={"clip_norm": 1e-3})
    _, metrics = run.after(1)
    np.testing.assert_allclose(metrics["clipped_norm"], 1e-3, rtol=1e-5)
    assert metrics["clipped"] == 1
    _, metrics = Tiny(chain={"clip_norm": 1e3}).after(1)
    assert metrics["clipped"] == 0


def test_the_same_shapes_are_traced_once():
    traces = []

    def counted(index, key):
        traces.append(index)
        return batch(index, key)

    run = Tiny(batch=counted)
    run.begin()
    traces.clear()
    run.after(3)
    assert len(traces) == 1


def test_a_plateau_cuts_the_rate_and_a_new_best_does_not():
    monitor = Tiny().begin().monitor
    observe = partial(steps.observe, larger_is_better=False, patience=2, scale=0.1)
    scales = []
    for value in (3.0, 2.0, 2.5, 2.5, 1.0, 1.5, 1.5, 1.5, 1.5):
        monitor = observe(monitor, jnp.float32(value))
        scales.append(round(float(monitor.rate_scale), 4))
    assert scales == [1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.001]
    assert float(monitor.best) == 1.0
    assert int(monitor.since_best) == 4


def test_dropout_differs_from_step_to_step_and_not_in_evaluation():
    run = Tiny(model={"num_layers": 2, "dropout": 0.5}, chain={"learning_rate": 1e-30})
    state = run.begin()
    examples, fixed = batch(0, None), run.objective.measure
    _, first = run.call(state)
    _, later = run.call(state.replace(step=jnp.int32(10)))  # the same batch, another step
    assert first["loss"] != later["loss"]
    memory = run.objective.init(jax.random.key(0), examples)[1]
    a, _ = fixed(state.params, memory, examples, jax.random.key(1))
    b, _ = fixed(state.params, memory, examples, jax.random.key(2))
    np.testing.assert_array_equal(a["loss"][0], b["loss"][0])


def two_players(updates):
    """Numbers a and b: a is drawn to b and to the batch, b away from a; each sees the other."""

    def towards(own, params, memory, batch, clock):
        loss = jnp.sum((own - params["b"] - batch["inputs"]) ** 2)
        return loss, (jnp.sum(batch["weight_B"]), memory, {"loss": loss})

    def away(own, params, memory, batch, clock):
        loss = -jnp.sum((own - params["a"] - batch["inputs"]) ** 2) / 4
        return loss, (jnp.sum(batch["weight_B"]), memory, {"loss": loss})

    return objectives.Objective(
        players=(
            objectives.Player("a", updates, towards),
            objectives.Player("b", 1, away),
        ),
        init=lambda key, batch: (
            {"a": jnp.float32(1), "b": jnp.float32(-2)},
            {"rows": None, "shared": None},
        ),
        measure=None,
        finalize=dict,
        reports={},
        generate=None,
    )


@pytest.mark.parametrize("updates", [1, 3])
def test_players_move_in_turn_each_time_on_a_batch_of_its_own(updates):
    def numbers(index, key):
        del key
        return {"inputs": jnp.full(2, index, jnp.float32), "weight_B": jnp.ones(2)}

    options = configs.options(
        configs.default(dataset="text", model="many_to_many", objective="likelihood")
    )
    chain = optimizer.make(optimizer.Options(rule="sgd", learning_rate=0.1), 10)
    mesh = jax.make_mesh((1,), ("batch",), (jax.sharding.AxisType.Auto,))
    game = two_players(updates)
    chains = {"a": chain, "b": chain}
    state = steps.init(game, chains, numbers(0, None), options, False)
    step = jax.jit(steps.make_step(game, chains, numbers, options, mesh))
    a, b = 1.0, -2.0
    for number in range(2):
        state, metrics = step(state)
        for update in range(updates):
            a -= 0.1 * 2 * (a - b - (number * updates + update))
        before = b
        b += 0.1 * (b - a - number) / 2
        assert float(state.params["a"]) == pytest.approx(a, rel=1e-5)
        assert float(state.params["b"]) == pytest.approx(b, rel=1e-5)
        assert float(metrics["b/loss"]) == pytest.approx(
            -((before - a - number) ** 2) / 4, rel=1e-4
        )
        assert "loss" in metrics and "a/loss" not in metrics


def watching():
    """A number drawn to the batch, and the moving mean of what was in the batches."""

    def loss(own, params, memory, batch, clock):
        total = jnp.sum((own - batch["inputs"]) ** 2)
        seen = 0.9 * memory["shared"]["seen"] + 0.1 * jnp.mean(batch["inputs"])
        memory = memory | {"shared": {"seen": seen}}
        return total, (jnp.sum(batch["weight_B"]), memory, {"loss": total})

    return objectives.Objective(
        players=(objectives.Player("a", 1, loss),),
        init=lambda key, batch: (
            {"a": jnp.float32(1)},
            {"rows": None, "shared": {"seen": jnp.float32(0)}},
        ),
        measure=None,
        finalize=dict,
        reports={},
        generate=None,
    )


@pytest.mark.parametrize("layout", [(1, None), (1, 2), (2, None), (2, 2)])
def test_what_the_memory_shares_is_of_the_whole_batch(layout):
    devices, parts = layout

    def numbers(index, key):
        del key
        return {"inputs": jnp.arange(4.0) ** 2 + index, "weight_B": jnp.ones(4)}

    options = configs.options(
        configs.default(dataset="text", model="many_to_many", objective="likelihood")
    )
    options = dataclasses.replace(options, accumulate=parts)
    chain = {"a": optimizer.make(optimizer.Options(rule="sgd", learning_rate=0.1), 10)}
    mesh = jax.make_mesh((devices,), ("batch",), (jax.sharding.AxisType.Auto,))
    state = steps.init(watching(), chain, numbers(0, None), options, False)
    step = jax.jit(steps.make_step(watching(), chain, numbers, options, mesh))
    seen = 0.0
    for number in range(2):
        state, _ = step(state)
        seen = 0.9 * seen + 0.1 * (np.mean(np.arange(4.0) ** 2) + number)
        assert float(state.memory["shared"]["seen"]) == pytest.approx(seen, rel=1e-5)
