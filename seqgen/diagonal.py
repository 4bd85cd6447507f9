"""The reverse derivative of a step that is elementwise in its units, out of the step alone.

The Jacobian of such a step is a diagonal for each pair of (state, gate), so pulling back ones
yields all of it. `cells.elementwise` makes cells of that.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from seqgen.errors import UsageError


def derivative(
    step: Callable, num_gates: int, num_states: int
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """`linearize` and `pull` of the cell (`cells.Cell`) whose step it is."""

    def linearize(x_gates, h_gates, carry, next_carry):
        _, pullback = jax.vjp(step, x_gates, h_gates, carry)
        return [
            pullback(tuple(jnp.full_like(s, float(i == j)) for i, s in enumerate(next_carry)))
            for j in range(num_states)
        ]

    def pull(rows, d_carry):
        wide = [jnp.concatenate([d] * num_gates, axis=-1) for d in d_carry]

        def weighted(cotangents, partials):
            return sum(d * partial for d, partial in zip(cotangents, partials, strict=True))

        d_x, d_h = (
            None if rows[0][k] is None else weighted(wide, [row[k] for row in rows]) for k in (0, 1)
        )
        d_previous = (weighted(d_carry, [row[2][s] for row in rows]) for s in range(num_states))
        return d_x, d_h, tuple(d_previous)

    return linearize, pull


def check(step: Callable, num_gates: int, num_states: int, *, recurrent: bool) -> None:
    """Raises UsageError if a change of one unit of one row reaches any other unit or row.

    `recurrent`: whether the step is given recurrent gates, or None.
    """
    rows, units = 3, 4

    def outputs(values):
        x_gates, h_gates = (gates.reshape(rows, -1) for gates in values[:2])
        return step(x_gates, h_gates if recurrent else None, tuple(values[2]))

    with jax.ensure_compile_time_eval():
        for key in jax.random.split(jax.random.key(0), 3):
            keys = jax.random.split(key, 3)
            shapes = [(rows, num_gates, units)] * 2 + [(num_states, rows, units)]
            values = [jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True)]
            changed = [v.at[0, :, 0].add(1.0) for v in values[:2]] + [values[2].at[:, 0, 0].add(1)]
            for before, after in zip(outputs(values), outputs(changed), strict=True):
                if bool(jnp.any((before != after).at[0, 0].set(False))):
                    raise UsageError(
                        "this step mixes units or rows, so it is not elementwise; give it to Cell "
                        "without linearize and pull, and autodiff differentiates it"
                    )
