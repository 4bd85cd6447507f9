"""What a cell is tried on, and the plain loop that every walk is held to."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import recurrence
from seqgen.cells import Carry, Cell


class Case(NamedTuple):
    """A cell, and numbers to try it on of which none is special.

    `walk(arguments, options, cotangents, **how)` is `unroll` as one compiled function, with its
    gradients: {"last", "h_BTD", "d_params", "d_x_BTE", "d_carry"}. `options` are arrays that all
    walks of a case have, `how` is static, so that few programs serve all properties.
    """

    cell: Cell
    arguments: tuple[dict[str, jax.Array], jax.Array, Carry]  # params, x_BTE, carry
    options: dict[str, jax.Array]  # length_B, hold [B, T, D], reset [B, T]
    cotangents: tuple[Carry, jax.Array]  # of the last carry and h_BTD
    walk: Callable[..., dict[str, Any]]
    numbers: np.random.Generator

    def gates(self, *axes: int) -> tuple[jax.Array, jax.Array | None, Carry]:
        """(x_gates, h_gates, carry) of a step, with these leading axes."""
        units, cell = self.arguments[2][0].shape[-1], self.cell
        x, h = (self.normal(*axes, cell.num_gates * units) for _ in range(2))
        carry = tuple(self.normal(*axes, units) for _ in range(cell.num_states))
        return x, None if cell.affine is not None else h, carry

    def normal(self, *shape: int) -> jax.Array:
        return jnp.asarray(self.numbers.normal(size=shape))

    def plain(self) -> dict[str, jax.Array]:
        """Options under which all rows are whole, and nothing is held or reset."""
        return {
            "length_B": jnp.full_like(self.options["length_B"], self.arguments[1].shape[1]),
            "hold": jnp.zeros_like(self.options["hold"]),
            "reset": jnp.zeros_like(self.options["reset"]),
        }

    def by_autodiff(self) -> dict[str, Any]:
        return self.walk(self.arguments, self.options, self.cotangents, backward="autodiff")


def case_of(cell: Cell, rows: int, steps: int, inputs: int, units: int) -> Case:
    """A case of rows that are whole, empty and in part real, held and reset here and there."""
    numbers = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(numbers.normal(size=shape))

    width = cell.num_gates * units
    params = {"w_x_EG": 0.5 * normal(inputs, width), "b_G": 0.3 * normal(width)}
    if cell.affine is None:
        params["w_h_DG"] = 0.5 * normal(units, width)
        if not cell.additive:
            params["b_h_G"] = normal(width)
    carry = tuple(normal(rows, units) for _ in range(cell.num_states))
    hold = numbers.uniform(size=(rows, steps, units))
    hold[:, 1::4], hold[:, 2::4] = 1.0, 0.0
    lengths = np.array([steps, 0, (2 * steps) // 3])[np.arange(rows) % 3]
    options = {
        "length_B": jnp.asarray(lengths),
        "hold": jnp.asarray(hold),
        "reset": jnp.asarray(numbers.uniform(size=(rows, steps)) < 0.3),
    }
    cotangents = tuple(normal(*s.shape) for s in carry), normal(rows, steps, units)
    arguments = params, normal(rows, steps, inputs), carry
    return Case(cell, arguments, options, cotangents, _walker(cell), numbers)


def _walker(cell):
    @partial(jax.jit, static_argnames=("reverse", "backward", "chunk", "parallel"))
    def walk(arguments, options, cotangents, **how):
        return with_gradients(
            lambda *args: recurrence.unroll(cell, *args, **options, **how), arguments, cotangents
        )

    return walk


def with_gradients(run, arguments, cotangents):
    (last, h_BTD), pull = jax.vjp(run, *arguments)
    d_params, d_x_BTE, d_carry = pull(cotangents)
    gradients = {"d_params": d_params, "d_x_BTE": d_x_BTE, "d_carry": d_carry}
    return {"last": last, "h_BTD": h_BTD, **gradients}


def loop(
    cell: Cell,
    params: dict[str, jax.Array],
    x_BTE: jax.Array,
    carry: Carry,
    *,
    lengths: tuple[int, ...],
    hold: jax.Array | None = None,
    reset: jax.Array | None = None,
    reverse: bool = False,
    normalize: Callable[[dict, jax.Array], jax.Array] = lambda params, gates_G: gates_G,
) -> tuple[Carry, jax.Array]:
    """The definition of a recurrent network: row by row, real step by real step.

    `lengths` are known numbers, `hold` is [B, T, 1] or [B, T, D], `reset` [B, T]; `normalize` is a
    function of the parameters too. Returns the last carry and h_BTD, as `unroll` does.
    """
    rows, steps, _ = x_BTE.shape
    hold = jnp.zeros((rows, steps, 1), x_BTE.dtype) if hold is None else hold
    reset = jnp.zeros((rows, steps), bool) if reset is None else reset

    @jax.jit  # one step of one row, compiled once
    def one_step(params, x_BTE, state, row, t):
        state = tuple(jnp.where(reset[row, t], 0, s) for s in state)
        x_gates = x_BTE[row, t] @ params["w_x_EG"] + params["b_G"]
        h_gates = None
        if cell.affine is None:
            h_gates = normalize(params, state[-1] @ params["w_h_DG"]) + params.get("b_h_G", 0.0)
        stepped, kept = cell.step(x_gates, h_gates, state), hold[row, t]
        return tuple(kept * o + (1 - kept) * n for o, n in zip(state, stepped, strict=True))

    ends, outputs = [], []
    for row in range(rows):
        state = tuple(s[row] for s in carry)
        h_TD = [jnp.zeros_like(state[-1])] * steps
        real = range(lengths[row])
        for t in reversed(real) if reverse else real:
            state = one_step(params, x_BTE, state, row, t)
            h_TD[t] = state[-1]
        ends.append(state)
        outputs.append(jnp.stack(h_TD))
    return jax.tree.map(lambda *states: jnp.stack(states), *ends), jnp.stack(outputs)
