"""The penalty on vanishing gradients against a plain loop over single rows, and its slope."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import cells
from seqgen.errors import UsageError
from seqgen.models import encoder_decoder, many_to_many, many_to_one
from seqgen.objectives import likelihood

B, T, E, D, V = 2, 4, 2, 3, 3
LENGTHS = (4, 2)
MODELS = {"sequence": many_to_one, "step": many_to_many}


def objective(per, **changes):
    spec = {
        "dataset": "test",
        "length": T,
        "streamed": False,
        "inputs": {"kind": "real", "size": E},
        "targets": {"kind": "category", "size": V, "per": per},
    }
    options = {"hidden_size": D, "cell": "rnn", "recurrent_scale": 1.3} | changes
    model = MODELS[per].make(MODELS[per].Options(**options), spec)
    return likelihood.make(likelihood.Options(vanishing_penalty=0.7), model, spec)


def batch(per):
    key_x, key_y = jax.random.split(jax.random.key(0))
    return {
        "inputs": jax.random.normal(key_x, (B, T, E), float),
        "targets": jax.random.randint(key_y, (B, T) if per == "step" else (B,), 0, V),
        "length_B": jnp.array(LENGTHS),
        "weight_B": jnp.ones(B),
    }


def begun(per, **changes):
    """(parameters -> (loss, what is logged of it), parameters, batch)."""
    o, examples = objective(per, **changes), batch(per)
    params, memory = o.init(jax.random.key(1), examples)
    clock = (jnp.int32(0), jax.random.key(2))

    def loss(own):
        total, (_, _, sums) = o.players[0].loss(own, params, memory, examples, clock)
        return total, sums

    return jax.jit(loss), params["model"], examples


def steps_of(own, examples, cell, layers):
    """(∂L/∂h, ∂h/∂h before it, h) of each real step, row by row, by plain loops."""
    output = own["output"]

    @jax.jit
    def step(params, x_D, h_D):
        x_G = x_D @ params["w_x_EG"] + params["b_G"]
        h_G = h_D @ params["w_h_DG"] + params.get("b_h_G", 0.0)
        return cell.step(x_G, h_G, (h_D,))[0]

    jacobian = jax.jit(jax.jacobian(step, argnums=2))

    def loss(nudges_LTD, x_TE, target, length):
        h_TD, states = x_TE[:length], []
        for layer, nudge_TD in zip(layers, nudges_LTD, strict=True):
            h_D, out = jnp.zeros(D), []
            for x_D, nudge_D in zip(h_TD, nudge_TD, strict=False):
                out.append(step(own["recurrent"][layer], x_D, h_D) + nudge_D)
                h_D = out[-1]
            states.append((h_TD, jnp.stack([jnp.zeros(D), *out])))
            h_TD = jnp.stack(out)
        read_TD = h_TD[-1:] if target.ndim == 0 else h_TD
        log_TV = jax.nn.log_softmax(read_TD @ output["kernel"] + output["bias"][None])
        return -sum(log_TV[t, y] for t, y in enumerate(target.reshape(-1)[: len(log_TV)])), states

    for x_TE, target, length in zip(examples["inputs"], examples["targets"], LENGTHS, strict=True):
        nudges = jnp.zeros((len(layers), T, D))
        d_LTD, states = jax.grad(loss, has_aux=True)(nudges, x_TE, target, length)
        for layer, d_TD, (read_TD, h_TD) in zip(layers, d_LTD, states, strict=True):
            for t in range(length):
                j_DD = jacobian(own["recurrent"][layer], read_TD[t], h_TD[t])
                yield d_TD[t], j_DD, h_TD[t + 1]


def omega(d_D, jacobian_DD):
    return (np.linalg.norm(d_D @ jacobian_DD) / np.linalg.norm(d_D) - 1) ** 2


@pytest.mark.parametrize(
    ("per", "changes"),
    [
        ("sequence", {}),
        ("step", {"num_layers": 2}),
        ("sequence", {"cell": "gru"}),
        ("step", {"activation": "sigmoid", "backward": "autodiff"}),
    ],
)
def test_it_is_the_papers_sum_over_the_steps(per, changes, float64):
    loss, own, examples = begun(per, **changes)
    cell = cells.named(changes.get("cell", "rnn"), changes.get("activation", "tanh"))
    layers = [f"layer_{number}" for number in range(changes.get("num_layers", 1))]
    expected = sum(omega(d, j) for d, j, _ in steps_of(own, examples, cell, layers))
    total, sums = loss(own)
    np.testing.assert_allclose(sums["vanishing_penalty"], expected, rtol=1e-7)
    assert expected > 0.5
    np.testing.assert_allclose(total, sums["loss"] + 0.7 * expected, rtol=1e-7)


def test_only_the_weights_between_states_are_differentiated(float64):
    """Against finite differences with all else held still, and zero for all other parameters."""
    loss, own, examples = begun("sequence")
    slope = jax.grad(lambda own: loss(own)[1]["vanishing_penalty"])(own)
    steps = list(steps_of(own, examples, cells.rnn(), ["layer_0"]))

    def value(w_DG):
        # the slope of tanh at its value h is 1 - h²
        return sum(omega(d, (1 - h**2)[:, None] * w_DG.T) for d, _, h in steps)

    moved = slope["recurrent"]["layer_0"].pop("w_h_DG")
    w_DG, width = np.asarray(own["recurrent"]["layer_0"]["w_h_DG"]), 1e-6
    for place in np.ndindex(w_DG.shape):
        step = np.zeros_like(w_DG)
        step[place] = width
        expected = (value(w_DG + step) - value(w_DG - step)) / (2 * width)
        np.testing.assert_allclose(moved[place], expected, rtol=1e-5, atol=1e-8)
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(slope))


def test_a_gradient_that_is_gone_counts_no_further_and_spoils_nothing():
    loss, own, _ = begun("sequence", activation="relu")
    own["recurrent"]["layer_0"]["b_G"] -= 100.0  # no unit is ever active
    slope, sums = jax.grad(loss, has_aux=True)(own)
    assert sums["vanishing_penalty"] == B  # (0 - 1)² at the last step of each row
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(slope))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"cell": "lstm"}, "model.cell=lstm"),
        ({"cell": "min_gru"}, "model.cell=min_gru"),
        ({"bidirectional": True, "zoneout": 0.1}, "model.bidirectional, model.zoneout"),
        ({"normalize": True}, "model.normalize"),
        ({"recurrent": False, "pooling": "mean"}, "model.recurrent=False"),
    ],
)
def test_a_network_that_it_is_not_for_is_named(changes, named):
    with pytest.raises(UsageError, match=f"rnn or gru, .* not for {named}$"):
        objective("sequence", **changes)


def test_answers_have_no_such_penalty():
    spec = {
        "dataset": "test",
        "length": T,
        "streamed": False,
        "inputs": {"kind": "token", "size": V},
        "targets": {"kind": "category", "size": V, "per": "answer", "length": T},
        "target_vocabulary": ["", "a", "b"],
    }
    model = encoder_decoder.make(encoder_decoder.Options(cell="gru"), spec)
    with pytest.raises(UsageError, match="many_to_one or many_to_many, not for EncoderDecoder"):
        likelihood.make(likelihood.Options(vanishing_penalty=1.0), model, spec)
