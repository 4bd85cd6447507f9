"""A walk through time in chunks, with a reverse pass of its own.

A chunk of steps does its matrix products as a few large ones: those of the inputs forward; those of
inputs, weights and gates backward. Only h W_h and the cell's arithmetic stay inside the step. The
forward pass keeps the carries, and, where that is cheaper than computing them again, the gates;
the backward pass linearizes a chunk of steps at once. `recurrence.unroll` calls `walk`.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from seqgen.cells import Carry, Cell
from seqgen.errors import UsageError
from seqgen.plan import RecurrenceSchedule

Params = dict[str, jax.Array]


class Steps(NamedTuple):
    """What steps read, time first: the input, and where the carry is held or starts anew."""

    x: jax.Array  # [T, B, E]
    hold: jax.Array | None  # [T, B, 1 or D]
    reset: jax.Array | None  # [T, B, 1]


class Way(NamedTuple):
    """The static facts of a walk."""

    cell: Cell
    schedule: RecurrenceSchedule
    product_dtype: Any


def product(a: jax.Array, w: jax.Array, product_dtype: Any) -> jax.Array:
    """a @ w with operands of that dtype, if any, and sums of a's."""
    if product_dtype is None:
        return a @ w
    narrow = (a.astype(product_dtype), w.astype(product_dtype))
    return jnp.matmul(*narrow, preferred_element_type=a.dtype)


def plus_bias(gates: jax.Array, bias_G: jax.Array) -> jax.Array:
    """Adds the bias to gates [..., G]."""
    return gates + jnp.expand_dims(bias_G, tuple(range(gates.ndim - 1)))


def input_gates(cell: Cell, params: Params, x: jax.Array, product_dtype: Any) -> jax.Array:
    """x W_x, with its bias unless that is for `recurrent_gates` to add."""
    gates = product(x, params["w_x_EG"], product_dtype)
    return gates if cell.additive else plus_bias(gates, params["b_G"])


def recurrent_gates(cell, params, h, product_dtype, normalize=None) -> jax.Array | None:
    """h W_h plus a bias, or None for an affine cell.

    The bias of an additive cell is added here, inside the step, where it costs no pass over memory.
    """
    if cell.affine is not None:
        return None
    bias_G = params["b_G" if cell.additive else "b_h_G"]
    gates = product(h, params["w_h_DG"], product_dtype)[..., : bias_G.shape[-1]]
    gates = gates if normalize is None else normalize(gates)
    return plus_bias(gates, bias_G)


def with_spare_columns(params: Params, count: int) -> Params:
    """The parameters, so many columns of zeros appended to the recurrent weights."""
    if count == 0 or "w_h_DG" not in params:
        return params
    return params | {"w_h_DG": jnp.pad(params["w_h_DG"], ((0, 0), (0, count)))}


def started_anew(reset: jax.Array | None, carry: Carry) -> Carry:
    """The carry, zeros where it is reset."""
    return carry if reset is None else tuple(jnp.where(reset, 0, s) for s in carry)


def held(hold: jax.Array | None, carry: Carry, stepped: Carry) -> Carry:
    """The stepped carry, mixed with the old one where that is held."""
    if hold is None:
        return stepped
    return tuple(hold * old + (1 - hold) * new for old, new in zip(carry, stepped, strict=True))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def walk(way: Way, params: Params, steps: Steps, carry: Carry) -> tuple[Carry, jax.Array]:
    """Walks over all steps; the schedule's chunk must divide them. Returns (last carry, h_TBD)."""
    return _walk(way, params, steps, carry)[0]


def _walk(way, params, steps, carry):
    cell, schedule, product_dtype = way
    spaced = with_spare_columns(params, schedule.spare_columns)

    def one_step(carry, step):
        carry = started_anew(step.reset, carry)
        h_gates = recurrent_gates(cell, spaced, carry[-1], product_dtype)
        gates = step.x + h_gates if cell.additive else h_gates
        carry = held(step.hold, carry, cell.step(step.x, h_gates, carry))
        return carry, (carry, gates if schedule.store_gates else None)

    def one_chunk(carry, steps):
        x_CBG = input_gates(cell, params, steps.x, product_dtype)
        carry, (states, gates) = lax.scan(one_step, carry, steps._replace(x=x_CBG))
        if schedule.store_gates and not cell.additive:
            gates = (x_CBG, gates)
        return carry, (states, gates)

    chunks = jax.tree.map(lambda a: a.reshape(-1, schedule.chunk, *a.shape[1:]), steps)
    last, (states_NCBD, gates) = lax.scan(one_chunk, carry, chunks)
    h_TBD = states_NCBD[-1].reshape(-1, *states_NCBD[-1].shape[2:])
    return (last, h_TBD), (chunks, states_NCBD, gates)


def _forward(way, params, steps, carry):
    """The walk of a differentiated call: its arguments say which of them need a gradient."""
    needs_x, hold = steps.x.perturbed, steps.hold
    if hold is not None and hold.perturbed:
        raise UsageError("hold has no gradient here; use backward='autodiff'")
    params, steps, carry = jax.tree.map(lambda p: p.value, (params, steps, carry))
    outputs, kept = _walk(way, params, steps, carry)
    return outputs, (params, carry, kept, () if needs_x else None)


def _backward(way, residuals, cotangents):
    cell, schedule, product_dtype = way
    params, first, (chunks, states_NCBD, gates), needs_x = residuals
    unread = jax.custom_derivatives.SymbolicZero
    d_last, d_h_TBD = cotangents
    d_last = tuple(
        jnp.zeros_like(f) if type(d) is unread else d for d, f in zip(d_last, first, strict=True)
    )
    d_h_NCBD = None if type(d_h_TBD) is unread else d_h_TBD.reshape(states_NCBD[-1].shape)
    enter_NBD = tuple(
        jnp.concatenate([f[None], s[:-1, -1]]) for f, s in zip(first, states_NCBD, strict=True)
    )
    w_h_GD = None
    if cell.affine is None:
        w_h_GD = params["w_h_DG"].T
        if schedule.transpose_weights:
            w_h_GD = lax.optimization_barrier(w_h_GD)  # or XLA transposes it in every step

    def one_chunk(accumulated, inputs):
        d_carry, d_weights = accumulated
        steps, enter, states, gates, d_h_CBD = inputs
        previous = tuple(
            jnp.concatenate([e[None], s[:-1]]) for e, s in zip(enter, states, strict=True)
        )
        previous = started_anew(steps.reset, previous)
        local = _linearized(way, params, steps, previous, states, gates)
        d_carry, (d_x_CBG, d_h_CBG) = lax.scan(
            partial(_pulled, way, w_h_GD),
            d_carry,
            (steps._replace(x=None), local, d_h_CBD),
            reverse=True,
        )
        d_chunk = _weight_gradients(way, steps.x, previous[-1], d_x_CBG, d_h_CBG)
        d_x = None if needs_x is None else product(d_x_CBG, params["w_x_EG"].T, product_dtype)
        return (d_carry, jax.tree.map(jnp.add, d_weights, d_chunk)), d_x

    inputs = (chunks, enter_NBD, states_NCBD, gates, d_h_NCBD)
    zeros = jax.tree.map(jnp.zeros_like, params)
    (d_first, d_params), d_x_NCBE = lax.scan(one_chunk, (d_last, zeros), inputs, reverse=True)
    d_x = None if d_x_NCBE is None else d_x_NCBE.reshape(-1, *d_x_NCBE.shape[2:])
    return d_params, Steps(d_x, None, None), d_first


def _linearized(way, params, steps, previous, states, gates):
    """The local derivatives of a chunk of steps, from the carries before and after each."""
    cell, _, product_dtype = way
    if gates is None:
        x_CBG = input_gates(cell, params, steps.x, product_dtype)
        h_CBG = recurrent_gates(cell, params, previous[-1], product_dtype)
    elif cell.additive:  # the stored sum is all that its step reads
        x_CBG, h_CBG = gates, jnp.zeros_like(gates)
    else:
        x_CBG, h_CBG = gates
    stepped = states if steps.hold is None else cell.step(x_CBG, h_CBG, previous)
    return cell.linearize(x_CBG, h_CBG, previous, stepped)


def _pulled(way, w_h_GD, d_carry, inputs):
    """One step back: from the cotangent of the carry after it to that of the carry before it."""
    step, local, d_h_BD = inputs
    if d_h_BD is not None:
        d_carry = (*d_carry[:-1], d_carry[-1] + d_h_BD)
    d_stepped = d_carry
    if step.hold is not None:
        d_stepped = tuple((1 - step.hold) * d for d in d_carry)
    d_x_BG, d_h_BG, d_previous = way.cell.pull(local, d_stepped)
    if w_h_GD is not None:
        through_gates = product(d_h_BG, w_h_GD, way.product_dtype)
        d_previous = (*d_previous[:-1], d_previous[-1] + through_gates)
    if step.hold is not None:
        d_previous = tuple(p + step.hold * d for p, d in zip(d_previous, d_carry, strict=True))
    return started_anew(step.reset, d_previous), (d_x_BG, None if way.cell.additive else d_h_BG)


def _weight_gradients(way, x_CBE, h_CBD, d_x_CBG, d_h_CBG):
    """A chunk's part of the gradient of each parameter: sums of outer products over its steps.

    All parameters that the same cotangents reach share one product; a bias is a weight of ones.
    """
    ones = jnp.ones_like(x_CBE[..., :1])
    if way.cell.additive:
        shares = [(d_x_CBG, {"w_h_DG": h_CBD, "w_x_EG": x_CBE, "b_G": ones})]
    else:
        shares = [(d_x_CBG, {"w_x_EG": x_CBE, "b_G": ones})]
        if way.cell.affine is None:
            shares.append((d_h_CBG, {"w_h_DG": h_CBD, "b_h_G": ones}))
    grads = {}
    for d_CBG, inputs in shares:
        joined = jnp.concatenate(list(inputs.values()), axis=-1)
        d, joined = (a.reshape(-1, a.shape[-1]) for a in (d_CBG, joined))
        # a transposed copy: XLA's product with a transposed view is slower
        total = product(lax.optimization_barrier(joined.T), d, way.product_dtype)
        ends = np.cumsum([a.shape[-1] for a in inputs.values()])[:-1]
        grads |= dict(zip(inputs, jnp.split(total, ends), strict=True))
    return {name: g[0] if name.startswith("b_") else g for name, g in grads.items()}


walk.defvjp(_forward, _backward, symbolic_zeros=True)
