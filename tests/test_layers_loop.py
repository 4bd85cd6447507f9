"""A stack of recurrent layers is plain loops over rows, layers and directions, and so are its
gradients."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import plain
import pytest

from seqgen import cells
from seqgen.layers import Recurrent, RecurrentOptions
from seqgen.testing import loop

B, T, D = 3, 5, 6
ALL = cells.names()
STACKS = {
    "stacked": {"num_layers": 2, "residual": True},
    "bidirectional": {"bidirectional": True},
    "normalized": {"normalize": True},
}
LENGTHS = (5, 0, 3)
RESETS = np.zeros((B, T), bool)
RESETS[0, 2] = RESETS[2, [0, 2]] = True
# a sequence that begins at t is left, walking back, before the step t - 1
RESETS_BACK = np.pad(RESETS[:, 1:], ((0, 0), (0, 1)))


def stack_of_loops(options, variables, x_BTE, carry):
    """The definition of a stack: layer by layer, direction by direction."""
    ends = []
    for layer in range(options.num_layers):
        walks = []
        for reverse, start in zip((False, True), carry[layer], strict=False):
            name = f"layer_{layer}_reverse" if reverse else f"layer_{layer}"
            how = {"normalize": standardised} if options.normalize else {}
            walks.append(
                loop(
                    cells.named(options.cell),
                    variables["params"][name],
                    x_BTE,
                    start,
                    lengths=LENGTHS,
                    reset=jnp.array(RESETS_BACK if reverse else RESETS),
                    reverse=reverse,
                    **how,
                )
            )
        h_BTD = jnp.concatenate([h for _, h in walks], axis=-1)
        if options.residual and h_BTD.shape == x_BTE.shape:
            real_BT = np.arange(T)[None] < np.array(LENGTHS)[:, None]
            h_BTD += jnp.where(real_BT[..., None], x_BTE, 0)
        x_BTE = h_BTD
        ends.append(tuple(end for end, _ in walks))
    return tuple(ends), x_BTE


def standardised(params, gates_G):
    spread = jnp.sqrt(jnp.var(gates_G) + 1e-5)
    return (gates_G - jnp.mean(gates_G)) / spread * params["scale_G"]


@pytest.mark.parametrize(
    ("stack", "cell", "backward"),
    [
        *((stack, cell, "chunked") for stack in ("stacked", "bidirectional") for cell in ALL),
        *((stack, "gru", "autodiff") for stack in ("stacked", "bidirectional")),
        *(("normalized", cell, "autodiff") for cell in ("rnn", "lstm", "gru")),
    ],
)
def test_values_and_gradients_are_the_loops(stack, cell, backward):
    with jax.enable_x64(True):
        options = RecurrentOptions(cell=cell, hidden_size=D, backward=backward, **STACKS[stack])
        layer = Recurrent(options)
        x_BTE = jax.random.normal(jax.random.key(0), (B, T, D))  # so wide that a residual adds it
        shapes = jax.eval_shape(layer.init, jax.random.key(1), x_BTE), layer.initial_carry(B)
        numbers = np.random.RandomState(0)
        variables, carry = jax.tree.map(lambda s: jnp.array(numbers.normal(size=s.shape)), shapes)

        def run(variables, x_BTE, carry):
            how = {"length_B": jnp.array(LENGTHS), "reset_BT": jnp.array(RESETS)}
            return layer.apply(variables, x_BTE, carry, **how)

        expected = plain.value_and_grads(partial(stack_of_loops, options))(variables, x_BTE, carry)
        actual = jax.jit(plain.value_and_grads(run))(variables, x_BTE, carry)
        jax.tree.map(
            lambda a, e: np.testing.assert_allclose(a, e, rtol=1e-10, atol=1e-10), actual, expected
        )
