"""A watched layer's walk is the model's own, and its gradients are those of autodiff."""

from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import cells, gradient_flow, recurrence, trajectories, walks
from seqgen.errors import UsageError
from seqgen.layers import Recurrent, RecurrentOptions

pytestmark = pytest.mark.usefixtures("float64")
B, T, E, D = 2, 4, 3, 3
LENGTH = (4, 2)


class Model(nn.Module):
    """Two layers whose outputs and last carry are both read, so that both have a direct part."""

    options: RecurrentOptions

    @nn.compact
    def __call__(self, x_BTE, length_B):
        carry, h_BTD = Recurrent(self.options, name="recurrent")(x_BTE, length_B=length_B)
        ends = sum(jnp.sum(jnp.sin(s_BD), -1) for s_BD in jax.tree.leaves(carry))
        return jnp.sum(h_BTD**2, axis=(1, 2)) + ends


def watched(options):
    model, keys = Model(options), jax.random.split(jax.random.key(0))
    x_BTE, length_B = jax.random.normal(keys[0], (B, T, E)), jnp.asarray(LENGTH)
    params = model.init(keys[1], x_BTE, length_B)
    given = (params, x_BTE, length_B)
    layers, watch = walks.watch(model.apply, *given)
    return layers, jax.jit(watch)(*given), given, model


def all_gradients(options):
    """(found, wanted) of ∂L/∂h_t for every layer: by walks, and by shifting each step's h."""
    layers, found, given, model = watched(options)
    result = {}
    for path, (walk, direct_TBS) in found.items():
        step, trajectory = walks.trajectory(layers[path], walk)
        vectors = trajectories.gradients(step, trajectory, direct_TBS)
        total_TBS = vectors.unit * jnp.exp(vectors.log)[..., None]
        result[path] = total_TBS[..., -D:], walk, trajectory
    return result, layers, given, model


@pytest.mark.parametrize(
    "chosen",
    [
        {"cell": "lstm", "bidirectional": True, "zoneout": 0.2, "normalize": True},
        pytest.param({"cell": "gru", "num_layers": 2}, marks=pytest.mark.slow),
        pytest.param({"cell": "min_gru", "parallel": True}, marks=pytest.mark.slow),
        pytest.param({"cell": "rnn", "activation": "relu"}, marks=pytest.mark.slow),
    ],
    ids=lambda chosen: chosen["cell"],
)
def test_total_gradients_are_those_of_autodiff_through_the_model(chosen):
    """∂L/∂h_t is the derivative by a shift of h_t, in a plain loop in place of the model's walk."""
    options = RecurrentOptions(hidden_size=D, backward="autodiff", **chosen)
    found, layers, given, model = all_gradients(options)
    shifts = {path: jnp.zeros((T, B, D)) for path in found}
    order = list(found)
    assert len(order) == options.num_layers * (1 + options.bidirectional)

    def loss(shifts):
        waiting = iter(order)

        def unroll(cell, params, x_BTE, carry, *, length_B, reverse, hold, normalize, **_):
            """A plain loop, in whose every step h can be shifted."""
            shift_TBD, outputs = shifts[next(waiting)], [None] * T
            for number in range(T):
                t = T - 1 - number if reverse else number
                part = slice(t, t + 1)
                stepped, _ = recurrence.unroll(
                    cell,
                    params,
                    x_BTE[:, part],
                    carry,
                    hold=None if hold is None else hold[:, part],
                    normalize=normalize,
                    backward="autodiff",
                )
                stepped = (*stepped[:-1], stepped[-1] + shift_TBD[number])
                real_B1 = (t < length_B)[:, None]
                carry = tuple(
                    jnp.where(real_B1, new, old) for new, old in zip(stepped, carry, strict=True)
                )
                outputs[t] = jnp.where(real_B1, carry[-1], 0)
            return carry, jnp.stack(outputs, axis=1)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("seqgen.layers.recurrence.unroll", unrolled(unroll))
            return jnp.sum(model.apply(*given))

    def unrolled(loop):
        own = recurrence.unroll

        def either(*args, **how):
            return loop(*args, **how) if args[2].shape[1] == T else own(*args, **how)

        return either

    wanted = jax.jit(jax.grad(loss))(shifts)
    for path, (total_TBD, walk, _) in found.items():
        real_TB1 = np.asarray(walk.real)[..., None]
        np.testing.assert_allclose(total_TBD * real_TB1, wanted[path] * real_TB1, atol=1e-8)
        assert np.abs(total_TBD[real_TB1[..., 0]]).min(axis=-1).max() > 1e-3


def test_a_walk_goes_through_the_states_that_the_model_puts_out():
    layers, found, (params, x_BTE, length_B), _ = watched(
        RecurrentOptions(cell="lstm", hidden_size=D, bidirectional=True, zoneout=0.1)
    )
    options = layers["recurrent/layer_0"].options
    own = {"params": params["params"]["recurrent"]}
    carry, h_BTX = Recurrent(options).apply(own, x_BTE, length_B=length_B)
    for number, path in enumerate(("recurrent/layer_0", "recurrent/layer_0_reverse")):
        _, trajectory = walks.trajectory(layers[path], found[path].walk)
        np.testing.assert_allclose(
            trajectory.last, jnp.concatenate(carry[0][number], axis=-1), atol=1e-12
        )
        h_TBD = jnp.concatenate([trajectory.states[1:], trajectory.last[None]])[..., -D:]
        h_TBD = h_TBD[::-1] if number else h_TBD
        real_TB1 = (jnp.arange(T)[:, None] < length_B[None])[..., None]
        part_BTD = h_BTX[..., number * D : (number + 1) * D]
        np.testing.assert_allclose(h_TBD * real_TB1, part_BTD.swapaxes(0, 1), atol=1e-12)


@pytest.mark.parametrize("cell", [cells.lstm(), cells.gru(), cells.rnn("relu"), cells.min_gru()])
def test_slopes_are_each_gates_own_derivative(cell):
    keys = jax.random.split(jax.random.key(0), 3)
    x_gates, h_gates = (jax.random.normal(k, (B, cell.num_gates * D)) for k in keys[:2])
    h_gates = None if cell.affine is not None else h_gates
    carry = tuple(jax.random.normal(keys[2], (cell.num_states, B, D)))
    values, slopes = walks.values_and_slopes(cell, x_gates, h_gates, carry)
    for name, value, slope in zip(cell.gates, values, slopes, strict=True):
        if cell.num_gates == 1:  # relu
            wanted = (value > 0).astype(float)
        elif name == "candidate":
            wanted = 1 - value**2 if cell.affine is None else jnp.ones_like(value)
        else:
            wanted = value * (1 - value)
        np.testing.assert_allclose(slope, wanted, atol=1e-12)


def test_the_steepest_slopes_are_known():
    lstm, relu = walks.steepest(cells.lstm()), walks.steepest(cells.rnn("relu"))
    np.testing.assert_allclose(lstm["forget"], (0.25, 0.5))
    np.testing.assert_allclose(lstm["candidate"], (1, 0))
    np.testing.assert_allclose(relu["candidate"], (1, 0))
    np.testing.assert_allclose(walks.steepest(cells.rnn("silu"))["candidate"][0], 1.0998, atol=1e-4)


def besides(x_gates, h_gates, carry):
    return (jnp.tanh(x_gates + h_gates + 2 * carry[0]),)


@pytest.mark.parametrize(
    ("cell", "step"),
    [
        (cells.rnn(), 0.5),
        (cells.rnn("silu"), 0.5499),
        (cells.rnn("softplus"), 0.5),
        (cells.rnn("square"), None),  # its slope has no end
        (cells.gru(), None),
        (cells.elementwise(besides, 1, 1, gates=("candidate",), values=besides), None),
    ],
)
def test_a_step_is_bounded_where_nothing_but_weights_and_activation_make_it(cell, step):
    options = SimpleNamespace(normalize=False, zoneout=None)
    layer = SimpleNamespace(cell=cell, options=options)
    walk = SimpleNamespace(params={"w_h_DG": 0.5 * jnp.eye(3)})
    found = gradient_flow.bound(layer, walk)
    assert (found if found is None else found.step) == pytest.approx(step, abs=1e-4)


def test_what_cannot_be_followed_is_one_sentence():
    x_BE = jnp.ones((B, E))
    dense = nn.Dense(3)
    params = dense.init(jax.random.key(0), x_BE)
    with pytest.raises(UsageError, match="walks none"):
        walks.watch(lambda p, x: dense.apply(p, x).sum(-1), params, x_BE)
    recurrent = Recurrent(RecurrentOptions(hidden_size=D))
    x_B1E = x_BE[:, None]
    params = recurrent.init(jax.random.key(0), x_B1E)
    with pytest.raises(UsageError, match="takes one step"):
        walks.watch(lambda p, x: recurrent.apply(p, x)[1].sum((1, 2)), params, x_B1E)
