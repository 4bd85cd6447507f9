"""However a walk in chunks is scheduled, it is the plain scan and its autodiff."""

import jax
import jax.numpy as jnp
import numpy as np
import plain
import pytest

from seqgen import cells, chunks, recurrence
from seqgen.plan import RecurrenceSchedule

pytestmark = pytest.mark.usefixtures("float64")
B, T, E, D = 3, 6, 4, 5


def problem(cell):
    """(params, x_TBE, carry), and steps that are held and started anew."""
    keys = jax.random.split(jax.random.key(0), 7)
    width = cell.num_gates * D
    shapes = {"w_x_EG": (E, width), "b_G": (width,), "w_h_DG": (D, width), "b_h_G": (width,)}
    unused = {"w_h_DG", "b_h_G"} if cell.affine else {"b_h_G"} if cell.additive else set()
    params = {
        name: 0.5 * jax.random.normal(key, shape)
        for key, (name, shape) in zip(keys, shapes.items(), strict=False)
        if name not in unused
    }
    x_TBE = jax.random.normal(keys[4], (T, B, E))
    carry = tuple(jax.random.normal(keys[5], (cell.num_states, B, D)))
    hold_TBD = jax.random.uniform(keys[6], (T, B, D))
    reset_TB1 = jnp.zeros((T, B, 1), bool).at[2, 1].set(True)
    return (params, x_TBE, carry), hold_TBD, reset_TB1


@pytest.mark.parametrize(
    ("free", "store_gates", "transpose_weights", "spare_columns"),
    [(True, True, False, 0), (False, True, True, 8), (False, False, False, 3)],
)
@pytest.mark.parametrize("name", cells.names())
def test_every_schedule_is_the_plain_scan(
    name, free, store_gates, transpose_weights, spare_columns
):
    cell = cells.named(name)
    schedule = RecurrenceSchedule(3, store_gates, transpose_weights, spare_columns)

    def in_chunks(params, x_TBE, carry):
        steps = chunks.Steps(x_TBE, hold, reset)
        return chunks.walk(chunks.Way(cell, schedule, None), params, steps, carry)

    def in_one_scan(params, x_TBE, carry):
        kept = None if hold is None else hold.swapaxes(0, 1)
        anew = None if reset is None else reset.swapaxes(0, 1)[..., 0]
        last, h_BTD = recurrence.unroll(
            cell, params, x_TBE.swapaxes(0, 1), carry, hold=kept, reset=anew, backward="autodiff"
        )
        return last, h_BTD.swapaxes(0, 1)

    arguments, hold, reset = problem(cell)
    if free:
        hold = reset = None
    jax.tree.map(
        lambda a, w: np.testing.assert_allclose(a, w, rtol=1e-10, atol=1e-10),
        jax.jit(plain.value_and_grads(in_chunks))(*arguments),
        jax.jit(plain.value_and_grads(in_one_scan))(*arguments),
    )
