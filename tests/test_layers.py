"""The recurrent layer is its unrollings put together, and starts from the named initial values."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import cells, recurrence
from seqgen.errors import UsageError
from seqgen.layers import Recurrent, RecurrentOptions, dropout

B, T, E, D = 3, 5, 4, 6


def made(**options):
    """(layer, its variables, x_BTE)."""
    layer = Recurrent(RecurrentOptions(hidden_size=D, **options))
    x_BTE = jax.random.normal(jax.random.key(0), (B, T, E))
    return layer, layer.init(jax.random.key(1), x_BTE), x_BTE


def walk(variables, name, x_BTE, cell="lstm", **how):
    """One unrolling with the parameters of the named layer."""
    cell = cells.named(cell)
    params = variables["params"][name]
    carry = recurrence.initial_carry(cell, B, D)
    return recurrence.unroll(cell, params, x_BTE, carry, **how)


def assert_close(actual, wanted, tolerance=1e-5):
    jax.tree.map(
        lambda a, w: np.testing.assert_allclose(a, w, rtol=tolerance, atol=tolerance),
        actual,
        wanted,
    )


def test_sequences_packed_into_a_row_are_apart_in_both_directions():
    layer, variables, x_BTE = made(bidirectional=True, num_layers=2)
    reset_BT = jnp.zeros((B, T), bool).at[:, 2].set(True)
    _, packed = layer.apply(variables, x_BTE, reset_BT=reset_BT)
    apart = [layer.apply(variables, x)[1] for x in (x_BTE[:, :2], x_BTE[:, 2:])]
    assert_close(packed, jnp.concatenate(apart, axis=1))


@pytest.mark.parametrize("cell", cells.names())
def test_single_steps_with_the_carry_are_one_call(cell):
    layer, variables, x_BTE = made(cell=cell, num_layers=2)
    whole, h_BTD = layer.apply(variables, x_BTE)
    carry, outputs = layer.initial_carry(B), []
    assert all(leaf.shape[0] == B for leaf in jax.tree.leaves(carry))
    step = jax.jit(layer.apply)
    for t in range(T):
        carry, h = step(variables, x_BTE[:, t : t + 1], carry)
        outputs.append(h)
    assert_close((carry, jnp.concatenate(outputs, axis=1)), (whole, h_BTD))


def test_chunked_autodiff_and_parallel_are_one_function():
    layer, variables, x_BTE = made(cell="min_gru", num_layers=2)

    def results(**how):
        other = Recurrent(dataclasses.replace(layer.options, **how))
        return jax.value_and_grad(lambda v: jnp.sum(other.apply(v, x_BTE)[1] ** 2))(variables)

    assert_close(results(backward="autodiff"), results())
    assert_close(results(parallel=True), results())


def test_dropout_between_layers_zeroes_units_for_all_steps():
    x = jnp.ones((4, 50, 30))
    dropped = dropout(x, jnp.float32(0.25), jax.random.key(0), shared_axes=(1,))
    assert_close(dropped, jnp.broadcast_to(dropped[:, :1], x.shape))
    assert set(np.unique(dropped)) == {np.float32(0), np.float32(1 / 0.75)}
    assert 0.1 < jnp.mean(dropped == 0) < 0.4
    layer, variables, x_BTE = made(num_layers=2, dropout=0.5)
    plain = layer.apply(variables, x_BTE)[1]
    drawn = layer.apply(variables, x_BTE, train=True, rngs={"dropout": jax.random.key(0)})[1]
    assert not jnp.allclose(plain, drawn)
    below = walk(variables, "layer_0", x_BTE)[1]
    assert_close(plain, walk(variables, "layer_1", below)[1])


def test_zoneout_keeps_units_in_training_and_their_share_in_evaluation():
    layer, variables, x_BTE = made(cell="rnn", zoneout=0.5)
    start = layer.initial_carry(B)
    start = jax.tree.map(lambda s: s + 3.0, start)  # out of the reach of a tanh
    rngs = {"zoneout": jax.random.key(0)}
    _, drawn = layer.apply(variables, x_BTE, start, train=True, rngs=rngs)
    kept = drawn[:, 0] == 3.0
    assert 0.1 < jnp.mean(kept) < 0.9
    params = variables["params"]["layer_0"]
    stepped = recurrence.unroll(cells.rnn(), params, x_BTE[:, :1], start[0][0])[1][:, 0]
    assert_close(jnp.where(kept, 3.0, stepped), drawn[:, 0])
    _, expected = layer.apply(variables, x_BTE, start)
    assert_close(expected[:, 0], 0.5 * 3.0 + 0.5 * stepped)


def test_float_options_may_be_traced():
    x_BTE = jax.random.normal(jax.random.key(0), (B, T, E))

    def outputs(rate, scale):
        options = RecurrentOptions(
            hidden_size=D, num_layers=2, dropout=rate, zoneout=rate, recurrent_scale=scale
        )
        layer = Recurrent(dataclasses.replace(options, forget_bias=scale))
        variables = layer.init(jax.random.key(1), x_BTE)
        rngs = {"dropout": jax.random.key(2), "zoneout": jax.random.key(3)}
        return layer.apply(variables, x_BTE, train=True, rngs=rngs)[1]

    together = jax.vmap(outputs)(jnp.array([0.1, 0.6]), jnp.array([1.0, 0.5]))
    assert_close(together, jnp.stack([outputs(0.1, 1.0), outputs(0.6, 0.5)]))


def test_recurrent_weights_start_as_named():
    def weights(cell="lstm", **options):
        _, variables, _ = made(cell=cell, **options)
        return variables["params"]["layer_0"]["w_h_DG"]

    for gate in jnp.split(weights(recurrent_scale=2.0), 4, axis=-1):
        assert_close(gate @ gate.T, 4 * jnp.eye(D), tolerance=1e-4)
    assert_close(weights("rnn", recurrent_init="identity", recurrent_scale=0.5), 0.5 * jnp.eye(D))
    glorot = weights(recurrent_init="glorot")
    assert 0.5 * np.sqrt(3 / D) < jnp.abs(glorot).max() <= np.sqrt(3 / D)
    normal = weights(recurrent_init="normal", recurrent_scale=3.0)
    assert 0.7 < normal.std() * np.sqrt(D) / 3 < 1.3
    noise = weights("rnn", recurrent_init="noisy_identity") - jnp.eye(D)
    assert 0.5 < noise.std() * np.sqrt(D) / 0.1 < 1.5


def test_biases_start_as_named():
    def bias(**options):
        _, variables, _ = made(**options)
        b_G = variables["params"]["layer_0"]["b_G"]
        cell = cells.named(options.get("cell", "lstm"))
        return dict(zip(cell.gates, jnp.split(b_G, cell.num_gates), strict=True))

    assert_close(bias(forget_bias=2.0)["forget"], jnp.full(D, 2.0))
    assert not any(jnp.any(b) for gate, b in bias().items() if gate != "forget")
    assert not any(jnp.any(b) for b in bias(cell="gru").values())
    chrono = bias(chrono_max=100)
    assert_close(chrono["forget"], -chrono["store"])
    assert jnp.all((chrono["forget"] >= 0) & (chrono["forget"] <= np.log(99)))
    assert chrono["forget"].std() > 0 and not jnp.any(chrono["candidate"])
    assert jnp.all(bias(cell="gru", chrono_max=100)["update"] >= 0)
    assert jnp.all(bias(cell="min_gru", chrono_max=100)["store"] <= 0)


def test_options_name_their_problems():
    wrong = {
        "did you mean 'lstm'": {"cell": "lstn"},
        "did you mean 'orthogonal'": {"recurrent_init": "orthogonl"},
        "did you mean 'chunked'": {"backward": "chunk"},
        "gates that keep or store": {"cell": "rnn", "chrono_max": 100},
        "at least 3": {"chrono_max": 2},
        "recurrent gates": {"cell": "min_gru", "normalize": True},
        "parallel": {"parallel": True},
        "num_layers": {"num_layers": 0},
        "zoneout": {"zoneout": 1.0},
    }
    for part, options in wrong.items():
        (problem,) = RecurrentOptions(**options).problems()
        assert part in problem
    assert not list(RecurrentOptions().problems())
    with pytest.raises(UsageError, match="did you mean 'lstm'"):
        made(cell="lstn")


@pytest.mark.parametrize("platform", ["cpu", "cuda", "tpu"])
def test_training_lowers_for_every_platform(platform):
    layer, variables, x_BTE = made(num_layers=2, bidirectional=True)

    def loss(variables, x_BTE):
        return jnp.sum(layer.apply(variables, x_BTE, length_B=jnp.array([5, 0, 2]))[1])

    exported = jax.export.export(jax.jit(jax.grad(loss)), platforms=[platform])(variables, x_BTE)
    assert exported.platforms == (platform,)


GOLDEN = Path(__file__).parent / "golden" / "recurrent.npz"


def from_torch(golden, cell, prefix=""):
    """PyTorch's parameters (or gradients) as ours. Its gates: lstm i f g o, gru r z n, both ours.

    PyTorch has two biases where the sum of the two is what matters; their gradients are equal.
    """
    params = {}
    for name, suffix in (("layer_0", ""), ("layer_0_reverse", "_reverse")):
        p = {k: golden[f"{prefix}{k}_l0{suffix}"] for k in ("weight_ih", "weight_hh")}
        b_x, b_h = (golden[f"{prefix}{k}_l0{suffix}"] for k in ("bias_ih", "bias_hh"))
        ours = {"w_x_EG": p["weight_ih"].T, "w_h_DG": p["weight_hh"].T}
        if cell == "gru":
            ours |= {"b_G": b_x, "b_h_G": b_h}
        else:
            ours |= {"b_G": b_x if prefix else b_x + b_h}
        params[name] = {k: jnp.asarray(v) for k, v in ours.items()}
    return {"params": params}


@pytest.mark.parametrize("backward", ["chunked", "autodiff"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_values_and_gradients_are_pytorchs(cell, backward):
    with jax.enable_x64(True), np.load(GOLDEN) as file:
        golden = {k.split("/")[1]: file[k] for k in file.files if k.startswith(cell)}
        units = golden["h"].shape[-1]
        layer = Recurrent(
            RecurrentOptions(cell=cell, hidden_size=units, bidirectional=True, backward=backward)
        )

        def loss(variables, x_BTE):
            length_B = jnp.asarray(golden["length"])
            ((*directions,),), outputs = layer.apply(variables, x_BTE, length_B=length_B)
            ends = sum(jnp.sum(s) for s in jax.tree.leaves(directions))
            return jnp.sum(jnp.sin(outputs)) + ends, (outputs, directions)

        x_BTE = jnp.asarray(golden["x"])
        grad = jax.jit(jax.grad(loss, (0, 1), has_aux=True))
        (d_variables, d_x), (outputs, directions) = grad(from_torch(golden, cell), x_BTE)
        exact = {"tolerance": 1e-12}
        assert_close(outputs, golden["outputs"], **exact)
        assert_close([carry[-1] for carry in directions], list(golden["h"]), **exact)
        assert_close(d_x, golden["d_x"], **exact)
        assert_close(d_variables, from_torch(golden, cell, prefix="d_"), **exact)
