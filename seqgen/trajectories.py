"""What a recurrence does along the states it went through: gradients, Jacobians, exponents.

A trajectory is a batch of walks, time first. Its states are flat, the arrays of a carry side by
side with h the last of them, and its step is any function of one state and one step's inputs;
`walks.py` makes both of a recurrent layer. Whatever grows or shrinks by a factor at each step is
kept as a direction and the logarithm of a length, so that no number of steps is too many.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

Step = Callable[[jax.Array, Any], jax.Array]  # (state_BS, inputs of a step) -> next state_BS


class Trajectory(NamedTuple):
    """T steps: what each reads, and the state that it starts from."""

    inputs: Any  # arrays [T, B, …]
    states: jax.Array  # [T, B, S]
    last: jax.Array  # [B, S], after the last step


class Scaled(NamedTuple):
    """Vectors [..., S] as unit · exp(log): unit vectors, or zero with log = -inf."""

    unit: jax.Array
    log: jax.Array  # [...]


def follow(step: Step, inputs: Any, start_BS: jax.Array) -> Trajectory:
    """Walks, and keeps all states."""
    last_BS, states_TBS = lax.scan(lambda s_BS, x: (step(s_BS, x), s_BS), start_BS, inputs)
    return Trajectory(inputs, states_TBS, last_BS)


def scaled(vectors: jax.Array) -> Scaled:
    largest = jnp.max(jnp.abs(vectors), axis=-1, keepdims=True)  # squares alone could underflow
    safe = jnp.where(largest > 0, largest, 1)
    length = jnp.linalg.norm(vectors / safe, axis=-1, keepdims=True)
    unit = vectors / safe / jnp.where(length > 0, length, 1)
    return Scaled(unit, (jnp.log(safe) + jnp.log(length))[..., 0])


def added(one: Scaled, other: Scaled) -> Scaled:
    common = jnp.maximum(one.log, other.log)
    common = jnp.where(jnp.isneginf(common), 0.0, common)
    parts = (v.unit * jnp.exp(v.log - common)[..., None] for v in (one, other))
    total = scaled(sum(parts))
    return total._replace(log=total.log + common)


def log_norms(vectors: Scaled, units: int) -> jax.Array:
    """log of the length of the part of each vector that belongs to h, its last `units` numbers."""
    return vectors.log + scaled(vectors.unit[..., -units:]).log


def gradients(step: Step, trajectory: Trajectory, direct_TBS: jax.Array) -> Scaled:
    """∂L/∂s_t for the state after each of the T steps, through all later steps: [T, B, S].

    direct_TBS: the part of it that does not pass through the next step.
    """

    def back(later: Scaled, given):
        state_BS, inputs, direct_BS = given
        total = added(later, scaled(direct_BS))
        _, pull = jax.vjp(lambda s_BS: step(s_BS, inputs), state_BS)
        before = scaled(pull(total.unit)[0])
        return before._replace(log=before.log + total.log), total

    nothing = scaled(jnp.zeros_like(trajectory.last))
    given = (trajectory.states, trajectory.inputs, direct_TBS)
    return lax.scan(back, nothing, given, reverse=True)[1]


def log_singular_values(step: Step, trajectory: Trajectory, units: int) -> jax.Array:
    """log of the singular values of ∂h_T/∂h_t, in falling order, t = 0 … T - 1: [T, B, D].

    h are the last D = `units` numbers of the state; the product of the Jacobians between is that of
    whole states. All of it is computed, by pulling back D rows at once: for small D. What lies
    below the largest by more than the precision of the numbers is rounding, here -inf.
    """
    identity_DB = jnp.zeros((units, *trajectory.last.shape)) + embedded(units, trajectory)

    def back(rows, given):
        rows_DBS, log_B = pulled(step, given, *rows)
        return (rows_DBS, log_B), _logs(rows_DBS[..., -units:], log_B)

    begin = (identity_DB, jnp.zeros(identity_DB.shape[1]))
    given = (trajectory.states, trajectory.inputs)
    return lax.scan(back, begin, given, reverse=True)[1]


def largest_log_singular_values(
    step: Step, trajectory: Trajectory, units: int, lag: jax.Array, count: int, rounds: int = 3
) -> jax.Array:
    """As `log_singular_values`, the `count` largest at t = T - lag: [B, count], for large D.

    Subspace iteration with products of Jacobians and vectors alone. After a few rounds the largest
    are right to some percent, more where they are apart; none is ever too large.
    """
    num_steps, rows = trajectory.states.shape[:2]
    taken_T = jnp.arange(num_steps) >= num_steps - lag

    def forth(columns_KBS, given):
        (*given, taken) = given
        pushed_KBS, _ = orthonormal(pushed(step, given, columns_KBS))
        return jnp.where(taken, pushed_KBS, columns_KBS), None

    def back(carried, given):
        (*given, taken) = given
        one_back = pulled(step, given, *carried)
        return jax.tree.map(lambda new, old: jnp.where(taken, new, old), one_back, carried), None

    given = (trajectory.states, trajectory.inputs, taken_T)
    key = jax.random.key(0)
    start_KBD = jax.random.normal(key, (count, rows, units))
    for _ in range(rounds):
        columns_KBS, _ = lax.scan(forth, widened(orthonormal(start_KBD)[0], trajectory), given)
        left_KBD, _ = orthonormal(columns_KBS[..., -units:])
        begin = (widened(left_KBD, trajectory), jnp.zeros(rows))
        (rows_KBS, log_B), _ = lax.scan(back, begin, given, reverse=True)
        start_KBD = rows_KBS[..., -units:]
    return _logs(start_KBD, log_B)


def exponents(
    step: Step, trajectory: Trajectory, real_TB: jax.Array, count: int
) -> tuple[jax.Array, jax.Array]:
    """The `count` largest Lyapunov exponents of each walk over its real steps, [B, count].

    Nats a step, by the QR method (Benettin et al. 1980; Engelken, Wolf and Abbott 2023 for
    recurrent networks): the mean of log |R_kk| over the steps. Also returns what each step adds,
    [T, B, count].
    """

    def forth(columns_KBS, given):
        next_KBS, diagonal_BK = orthonormal(pushed(step, given, columns_KBS))
        return next_KBS, jnp.log(jnp.abs(diagonal_BK))

    key, shape = jax.random.key(0), (count, *trajectory.last.shape)
    begin, _ = orthonormal(jax.random.normal(key, shape))
    given = (trajectory.states, trajectory.inputs)
    _, logs_TBK = lax.scan(forth, begin, given)
    logs_TBK = jnp.where(real_TB[..., None], logs_TBK, 0)
    steps_B1 = jnp.maximum(jnp.sum(real_TB, axis=0), 1)[:, None]
    means_BK = jnp.sum(logs_TBK, axis=0) / steps_B1
    return -jnp.sort(-means_BK, axis=-1), logs_TBK


def pushed(step: Step, given: Any, columns_KBS: jax.Array) -> jax.Array:
    """The Jacobian of one step times K vectors of each row of the batch."""
    state_BS, inputs = given

    def one(column_BS):
        return jax.jvp(lambda s_BS: step(s_BS, inputs), (state_BS,), (column_BS,))[1]

    return jax.vmap(one)(columns_KBS)


def pulled(step: Step, given: Any, rows_KBS: jax.Array, log_B: jax.Array) -> Any:
    """K vectors of each row of the batch times the Jacobian of one step, scaled together."""
    state_BS, inputs = given
    _, pull = jax.vjp(lambda s_BS: step(s_BS, inputs), state_BS)
    rows_KBS = jax.vmap(lambda row_BS: pull(row_BS)[0])(rows_KBS)
    largest_B = jnp.max(jnp.abs(rows_KBS), axis=(0, 2))
    safe_B = jnp.where(largest_B > 0, largest_B, 1)
    return rows_KBS / safe_B[None, :, None], log_B + jnp.log(safe_B)


def orthonormal(columns_KBS: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Q and the diagonal [B, K] of R of each row's K vectors."""
    q_BSK, r_BKK = jnp.linalg.qr(jnp.moveaxis(columns_KBS, 0, 2))
    return jnp.moveaxis(q_BSK, 2, 0), jnp.diagonal(r_BKK, axis1=-2, axis2=-1)


def widened(vectors_KBD: jax.Array, trajectory: Trajectory) -> jax.Array:
    """Vectors of h as vectors of the whole state."""
    before = trajectory.last.shape[-1] - vectors_KBD.shape[-1]
    return jnp.pad(vectors_KBD, ((0, 0), (0, 0), (before, 0)))


def embedded(units: int, trajectory: Trajectory) -> jax.Array:
    """The rows of the identity of h as vectors of the whole state: [D, 1, S]."""
    return widened(jnp.eye(units)[:, None], trajectory)


def _logs(rows_KBD: jax.Array, log_B: jax.Array) -> jax.Array:
    values_BK = jnp.linalg.svd(jnp.moveaxis(rows_KBD, 1, 0), compute_uv=False)
    floor_B1 = values_BK[:, :1] * jnp.finfo(values_BK.dtype).eps * rows_KBD.shape[-1]
    known_BK = jnp.where(jnp.isnan(values_BK), jnp.nan, 0)  # of states that overflowed
    kept_BK = jnp.where(values_BK > floor_B1, values_BK, known_BK)
    return jnp.log(kept_BK) + log_B[:, None]
