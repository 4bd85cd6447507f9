"""Many time steps: unroll one cell over a sequence, forward or in reverse, whole rows or parts.

What goes in is batch-first and may be padded, held and reset; what walks is time-first. There are
three walks: in chunks with a reverse pass of its own (`chunks.py`), the plain scan that autodiff
handles in every mode, and the associative scan of affine cells. `layers.py` calls `unroll`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from seqgen import chunks
from seqgen.cells import Carry, Cell
from seqgen.errors import UsageError, unknown
from seqgen.plan import recurrence_schedule

BACKWARDS = ("autodiff", "chunked")


def initial_carry(cell: Cell, batch_size: int, hidden_size: int, dtype: Any = None) -> Carry:
    """A carry of zeros: `num_states` arrays [B, D]; the default dtype is JAX's float."""
    return (jnp.zeros((batch_size, hidden_size), dtype),) * cell.num_states


def unroll(
    cell: Cell,
    params: chunks.Params,
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
      UsageError: `parallel` for a cell that is not affine, an unknown `backward`, a chunk without
        steps, or a gradient with respect to `hold`.
    """
    if backward not in BACKWARDS:
        raise unknown("backward", backward, BACKWARDS)
    if parallel and cell.affine is None:
        raise UsageError("parallel needs a cell without a recurrent product, such as min_gru")
    if chunk is not None and chunk < 1:
        raise UsageError(f"chunk must be at least 1, not {chunk}")
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

    steps = chunks.Steps(x_BTE, hold, reset)
    steps = jax.tree.map(lambda a: (a[:, ::-1] if reverse else a).swapaxes(0, 1), steps)
    empty = x_BTE.shape[1] == 0  # the plain walk alone needs no first step
    if parallel and not empty:
        last, h_TBD = _associative(cell, params, steps, carry, product_dtype)
    elif empty or backward == "autodiff" or cell.linearize is None or normalize is not None:
        last, h_TBD = _plain(cell, params, steps, carry, product_dtype, normalize)
    else:
        last, h_TBD = _in_chunks(cell, params, steps, carry, product_dtype, chunk)
    h_BTD = (h_TBD[::-1] if reverse else h_TBD).swapaxes(0, 1)
    return last, h_BTD if length_B is None else jnp.where(real_BT1, h_BTD, 0)


def _plain(cell, params, steps, carry, product_dtype, normalize):
    """One scan over time, for autodiff: always right, in either mode and any order."""

    def one_step(carry, step):
        carry = chunks.started_anew(step.reset, carry)
        x_gates = chunks.input_gates(cell, params, step.x, product_dtype)
        h_gates = chunks.recurrent_gates(cell, params, carry[-1], product_dtype, normalize)
        carry = chunks.held(step.hold, carry, cell.step(x_gates, h_gates, carry))
        return carry, carry[-1]

    return lax.scan(one_step, carry, steps)


def _associative(cell, params, steps, carry, product_dtype):
    """All steps at once: h_t = a h_{t-1} + b composes associatively (Blelloch 1990)."""
    a_TBD, b_TBD = cell.affine(chunks.input_gates(cell, params, steps.x, product_dtype))
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
    """The chunked walk; a shorter last chunk takes the steps that are left over."""
    num_steps, batch_size, input_size = steps.x.shape
    schedule = recurrence_schedule(
        platform=jax.default_backend(),
        num_steps=num_steps,
        batch_size=batch_size,
        input_size=input_size,
        hidden_size=carry[-1].shape[-1],
        num_gates=cell.num_gates,
    )
    chunk = min(schedule.chunk if chunk is None else chunk, num_steps)
    whole, outputs = num_steps - num_steps % chunk, []
    for part, size in ((slice(whole), chunk), (slice(whole, None), num_steps - whole)):
        if size > 0:
            way = chunks.Way(cell, schedule._replace(chunk=size), product_dtype)
            taken = jax.tree.map(lambda a: a[part], steps)
            carry, h_TBD = chunks.walk(way, params, taken, carry)
            outputs.append(h_TBD)
    return carry, outputs[0] if len(outputs) == 1 else jnp.concatenate(outputs)
