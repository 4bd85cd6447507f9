"""Many time steps: unroll one cell over a sequence, forward and backward.

The time axis is cut into chunks. A chunk does its matrix products as a few large ones (inputs
forward; inputs, weights and gates backward); only h W_h and the cell's arithmetic stay inside the
step. The forward pass keeps the carries, and the backward pass finds a chunk's gates again from
them, so memory grows with num_states * D per step, not with the gates. `layers.py` calls `unroll`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from seqgen.cells import Carry, Cell
from seqgen.errors import UsageError, unknown
from seqgen.plan import recurrence_schedule

Params = dict[str, jax.Array]
BACKWARDS = ("autodiff", "chunked")


class Walk(NamedTuple):
    """The static facts of one unrolling."""

    cell: Cell
    chunk: int
    store_gates: bool
    product_dtype: Any


class Steps(NamedTuple):
    """What a step reads, time first: the input, and where the carry is held or starts anew."""

    x: jax.Array  # [T, B, E]
    hold: jax.Array | None  # [T, B, 1 or D]
    reset: jax.Array | None  # [T, B, 1]


def initial_carry(cell: Cell, batch_size: int, hidden_size: int, dtype: Any = None) -> Carry:
    """A carry of zeros: `num_states` arrays [B, D]; the default dtype is JAX's float."""
    return (jnp.zeros((batch_size, hidden_size), dtype),) * cell.num_states


def unroll(
    cell: Cell,
    params: Params,
    x_BTE: jax.Array,
    carry: Carry,
    *,
    length_B: jax.Array | None = None,
    hold: jax.Array | None = None,
    reset: jax.Array | None = None,
    normalize: Callable[[jax.Array], jax.Array] | None = None,
    reverse: bool = False,
    backward: str = "chunked",
    parallel: bool = False,
    product_dtype: Any = None,
    chunk: int | None = None,
) -> tuple[Carry, jax.Array]:
    """Walks a cell through time.

    Args:
      cell: what one step does.
      params: {"w_x_EG", "b_G"}; also "w_h_DG" unless the cell is affine, and "b_h_G" unless it is
        additive.
      x_BTE: inputs.
      carry: `num_states` arrays [B, D], as from `initial_carry`.
      length_B: real steps in each row; the rest is padding. Outputs there are zero, the last carry
        is that of the row's last real step (its first carry if it has none), padding's gradient is
        exactly zero, and `reverse` starts at the last real step.
      hold: in [0, 1], [B, T, 1] or [B, T, D]: how much of the old carry stays. 1 skips a step,
        random or expected values are zoneout (Krueger et al. 2017). Not differentiated.
      reset: [B, T], True where the carry is zeroed before the step, in walking order.
      normalize: maps the recurrent gates [B, G] to normalised ones; implies backward="autodiff".
      reverse: walk from the last step to the first; outputs stay at their inputs' places.
      backward: "chunked", the fast reverse pass, or "autodiff", which also allows forward mode and
        higher orders. Cells without `linearize` always take the latter.
      parallel: evaluate an affine cell by an associative scan (by autodiff).
      product_dtype: dtype of the matrix products' operands, for example bfloat16; sums and carries
        keep the dtype of x and params.
      chunk: steps per chunk; None chooses by `plan.recurrence_schedule`.

    Returns:
      The last carry and h_BTD.

    Raises:
      UsageError: `parallel` for a cell that is not affine, an unknown `backward`, or a gradient
        with respect to `hold`.
    """
    if backward not in BACKWARDS:
        raise unknown("backward", backward, BACKWARDS)
    if parallel and cell.affine is None:
        raise UsageError("parallel needs a cell without a recurrent product, such as min_gru")
    dtype = jnp.result_type(x_BTE, params["w_x_EG"])
    x_BTE, carry = x_BTE.astype(dtype), tuple(s.astype(dtype) for s in carry)
    if hold is not None:
        hold = hold.astype(dtype)
    if reset is not None:
        reset = reset[..., None]
    if length_B is not None:
        real_BT1 = jnp.arange(x_BTE.shape[1])[None, :, None] < length_B[:, None, None]
        x_BTE = jnp.where(real_BT1, x_BTE, 0)
        hold = jnp.where(real_BT1, 0.0 if hold is None else hold, 1.0).astype(dtype)
        reset = None if reset is None else reset & real_BT1

    steps = Steps(x_BTE, hold, reset)
    steps = jax.tree.map(lambda a: (a[:, ::-1] if reverse else a).swapaxes(0, 1), steps)
    if parallel:
        last, h_TBD = _associative(cell, params, steps, carry, product_dtype)
    elif backward == "autodiff" or cell.linearize is None or normalize is not None:
        last, h_TBD = _plain(cell, params, steps, carry, product_dtype, normalize)
    else:
        last, h_TBD = _in_chunks(cell, params, steps, carry, product_dtype, chunk)
    h_BTD = (h_TBD[::-1] if reverse else h_TBD).swapaxes(0, 1)
    return last, h_BTD if length_B is None else jnp.where(real_BT1, h_BTD, 0)


def _product(a, w, product_dtype):
    if product_dtype is None:
        return a @ w
    a, w = a.astype(product_dtype), w.astype(product_dtype)
    return jnp.matmul(a, w, preferred_element_type=jnp.float32)


def _plus_bias(gates, bias_G):
    return gates + jnp.expand_dims(bias_G, tuple(range(gates.ndim - 1)))


def _input_gates(params, x, product_dtype):
    return _plus_bias(_product(x, params["w_x_EG"], product_dtype), params["b_G"])


def _recurrent_gates(params, h, product_dtype):
    if "w_h_DG" not in params:
        return None
    gates = _product(h, params["w_h_DG"], product_dtype)
    return _plus_bias(gates, params["b_h_G"]) if "b_h_G" in params else gates


def _started_anew(reset, carry):
    return carry if reset is None else tuple(jnp.where(reset, 0, s) for s in carry)


def _held(hold, carry, stepped):
    if hold is None:
        return stepped
    return tuple(hold * old + (1 - hold) * new for old, new in zip(carry, stepped, strict=True))


def _plain(cell, params, steps, carry, product_dtype, normalize):
    """One scan over time, for autodiff: always right, in either mode and any order."""

    def one_step(carry, step):
        carry = _started_anew(step.reset, carry)
        h_gates = _recurrent_gates(params, carry[-1], product_dtype)
        h_gates = h_gates if normalize is None else normalize(h_gates)
        stepped = cell.step(_input_gates(params, step.x, product_dtype), h_gates, carry)
        carry = _held(step.hold, carry, stepped)
        return carry, carry[-1]

    return lax.scan(one_step, carry, steps)


def _associative(cell, params, steps, carry, product_dtype):
    """All steps at once: h_t = a h_{t-1} + b composes associatively (Blelloch 1990)."""
    a_TBD, b_TBD = cell.affine(_input_gates(params, steps.x, product_dtype))
    if steps.hold is not None:
        a_TBD = steps.hold + (1 - steps.hold) * a_TBD
        b_TBD = (1 - steps.hold) * b_TBD
    if steps.reset is not None:
        a_TBD = jnp.where(steps.reset, 0, a_TBD)
    b_TBD = b_TBD.at[0].add(a_TBD[0] * carry[0])
    _, h_TBD = lax.associative_scan(
        lambda early, late: (late[0] * early[0], late[0] * early[1] + late[1]), (a_TBD, b_TBD)
    )
    return (h_TBD[-1],), h_TBD


def _in_chunks(cell, params, steps, carry, product_dtype, chunk):
    """The chunked walk; a chunk shorter than the others takes the steps that are left over."""
    num_steps, batch_size, _ = steps.x.shape
    schedule = recurrence_schedule(
        platform=jax.default_backend(),
        num_steps=num_steps,
        batch_size=batch_size,
        hidden_size=carry[-1].shape[-1],
        num_gates=cell.num_gates,
    )
    chunk = min(schedule.chunk if chunk is None else chunk, num_steps)
    walk = Walk(cell, chunk, schedule.store_gates, product_dtype)
    whole = num_steps - num_steps % chunk
    carry, h_TBD = _chunked(walk, params, jax.tree.map(lambda a: a[:whole], steps), carry)
    if whole == num_steps:
        return carry, h_TBD
    walk = walk._replace(chunk=num_steps - whole)
    carry, rest_TBD = _chunked(walk, params, jax.tree.map(lambda a: a[whole:], steps), carry)
    return carry, jnp.concatenate([h_TBD, rest_TBD])


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chunked(walk: Walk, params: Params, steps: Steps, carry: Carry):
    return _walk_forward(walk, params, steps, carry)[0]


def _walk_forward(walk, params, steps, carry):
    def one_step(carry, step):
        carry = _started_anew(step.reset, carry)
        h_gates = _recurrent_gates(params, carry[-1], walk.product_dtype)
        carry = _held(step.hold, carry, walk.cell.step(step.x, h_gates, carry))
        return carry, (carry, h_gates if walk.store_gates else None)

    def one_chunk(carry, steps):
        x_CBG = _input_gates(params, steps.x, walk.product_dtype)
        return lax.scan(one_step, carry, steps._replace(x=x_CBG))

    chunks = jax.tree.map(lambda a: a.reshape(-1, walk.chunk, *a.shape[1:]), steps)
    last, (states_NCBD, gates_NCBG) = lax.scan(one_chunk, carry, chunks)
    h_TBD = states_NCBD[-1].reshape(-1, *states_NCBD[-1].shape[2:])
    return (last, h_TBD), (chunks, states_NCBD, gates_NCBG)


def _forward(walk, params, steps, carry):
    """The forward walk of a differentiated call; the arguments say which of them are perturbed."""
    x_perturbed, hold = steps.x.perturbed, steps.hold
    if hold is not None and hold.perturbed:
        raise UsageError("hold has no gradient here; use backward='autodiff'")
    params, steps, carry = jax.tree.map(lambda p: p.value, (params, steps, carry))
    outputs, kept = _walk_forward(walk, params, steps, carry)
    return outputs, (params, carry, kept, () if x_perturbed else None)


def _backward(walk, residuals, cotangents):
    cell, _, _, product_dtype = walk
    params, first, (chunks, states_NCBD, gates_NCBG), x_perturbed = residuals
    d_last, d_h_TBD = cotangents
    zero = jax.custom_derivatives.SymbolicZero
    d_last = tuple(
        jnp.zeros_like(f) if type(d) is zero else d for d, f in zip(d_last, first, strict=True)
    )
    d_h_NCBD = None if type(d_h_TBD) is zero else d_h_TBD.reshape(states_NCBD[-1].shape)
    enter_NBD = tuple(
        jnp.concatenate([f[None], s[:-1, -1]]) for f, s in zip(first, states_NCBD, strict=True)
    )
    recurrent = "w_h_DG" in params
    if recurrent:
        # transposed once, here, or XLA does it again in every step
        w_h_GD = lax.optimization_barrier(params["w_h_DG"].T)

    def one_step(d_carry, inputs):
        step, local, d_h_BD = inputs
        if d_h_BD is not None:
            d_carry = (*d_carry[:-1], d_carry[-1] + d_h_BD)
        d_stepped = d_carry
        if step.hold is not None:
            d_stepped = tuple((1 - step.hold) * d for d in d_carry)
        d_x_BG, d_h_BG, d_previous = cell.pull(local, d_stepped)
        if recurrent:
            through_gates = _product(d_h_BG, w_h_GD, product_dtype)
            d_previous = (*d_previous[:-1], d_previous[-1] + through_gates)
        if step.hold is not None:
            d_previous = tuple(p + step.hold * d for p, d in zip(d_previous, d_carry, strict=True))
        same = d_h_BG is d_x_BG
        return _started_anew(step.reset, d_previous), (d_x_BG, None if same else d_h_BG)

    def one_chunk(accumulated, inputs):
        d_carry, d_params = accumulated
        steps, enter, states, h_CBG, d_h_CBD = inputs
        previous = tuple(
            jnp.concatenate([e[None], s[:-1]]) for e, s in zip(enter, states, strict=True)
        )
        previous = _started_anew(steps.reset, previous)
        x_CBG = _input_gates(params, steps.x, product_dtype)
        if h_CBG is None:
            h_CBG = _recurrent_gates(params, previous[-1], product_dtype)
        stepped = states if steps.hold is None else cell.step(x_CBG, h_CBG, previous)
        # or XLA moves this work back into the steps
        local = lax.optimization_barrier(cell.linearize(x_CBG, h_CBG, previous, stepped))
        d_carry, (d_x_CBG, d_h_CBG) = lax.scan(
            one_step, d_carry, (steps._replace(x=None), local, d_h_CBD), reverse=True
        )
        d_h_CBG = d_x_CBG if d_h_CBG is None else d_h_CBG
        d_chunk = {"w_x_EG": _outer(steps.x, d_x_CBG, product_dtype), "b_G": d_x_CBG.sum((0, 1))}
        if recurrent:
            d_chunk["w_h_DG"] = _outer(previous[-1], d_h_CBG, product_dtype)
        if "b_h_G" in params:
            d_chunk["b_h_G"] = d_h_CBG.sum((0, 1))
        d_params = jax.tree.map(jnp.add, d_params, d_chunk)
        d_x = None if x_perturbed is None else _product(d_x_CBG, params["w_x_EG"].T, product_dtype)
        return (d_carry, d_params), d_x

    (d_first, d_params), d_x_NCBE = lax.scan(
        one_chunk,
        (d_last, jax.tree.map(jnp.zeros_like, params)),
        (chunks, enter_NBD, states_NCBD, gates_NCBG, d_h_NCBD),
        reverse=True,
    )
    d_x = None if d_x_NCBE is None else d_x_NCBE.reshape(-1, *d_x_NCBE.shape[2:])
    return d_params, Steps(d_x, None, None), d_first


def _outer(a_CBE, d_CBG, product_dtype):
    """The gradient of a weight: the outer products, summed over the chunk and the batch."""
    a, d = a_CBE.reshape(-1, a_CBE.shape[-1]), d_CBG.reshape(-1, d_CBG.shape[-1])
    return _product(lax.optimization_barrier(a.T), d, product_dtype)


_chunked.defvjp(_forward, _backward, symbolic_zeros=True)
