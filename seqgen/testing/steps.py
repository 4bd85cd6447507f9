"""What one step of a cell promises; `walks.py` has what many do."""

import jax
import jax.numpy as jnp
import numpy as np

from seqgen.testing.case import Case
from seqgen.testing.verdict import same


def gates_are_named(case: Case) -> None:
    """A cell's `gates` are a tuple of `num_gates` names: a layer initialises its biases by them."""
    names = case.cell.gates
    if not isinstance(names, tuple) or len(names) != case.cell.num_gates:
        raise AssertionError(f"gates={names!r}, num_gates={case.cell.num_gates}")


def a_step_keeps_the_carry(case: Case) -> None:
    """A step returns a tuple of `num_states` arrays of the carry's shape and dtype. A list instead
    of a tuple, a lone array, another num_gates or num_states, and a cast to float32 break this."""
    *gates, carry = case.gates(2)
    stepped = jax.eval_shape(case.cell.step, *gates, carry)
    if jax.tree.structure(stepped) != jax.tree.structure(carry):
        raise AssertionError(f"it returns {stepped}, not {case.cell.num_states} arrays in a tuple")
    for got, want in zip(stepped, carry, strict=True):
        if (got.shape, got.dtype) != (want.shape, want.dtype):
            raise AssertionError(
                f"{got.dtype}{list(got.shape)}, not {want.dtype}{list(want.shape)}"
            )


def a_step_is_pure(case: Case) -> None:
    """The same numbers give the same step. Random numbers of NumPy's, counters and caches in the
    step break this: it is traced once, and what it read then is frozen for all steps."""
    gates, step = case.gates(2), case.cell.step
    first, second = jax.jit(lambda *args: (step(*args), step(*args)))(*gates)
    same(second, first, "state ")


def values_are_those_of_the_gates(case: Case) -> None:
    """`values`, if a cell has it, returns an array of the state's shape for each gate, in the order
    of `gates`, and each follows its gate's part of x_gates. Another order, or a gate that is left
    out, breaks this, and would be diagnosed under a wrong name."""
    cell, names = case.cell, case.cell.gates
    if cell.values is None:
        return
    x_gates, h_gates, carry = case.gates(3)
    values, units = tuple(cell.values(x_gates, h_gates, carry)), carry[-1].shape[-1]
    if len(values) != cell.num_gates:
        raise AssertionError(f"{len(values)} values for {cell.num_gates} gates")
    for number, (name, value) in enumerate(zip(names, values, strict=True)):
        if value.shape != carry[-1].shape:
            raise AssertionError(f"{name}: {list(value.shape)}, not {list(carry[-1].shape)}")
        own = slice(number * units, (number + 1) * units)
        moved = tuple(cell.values(x_gates.at[..., own].add(0.5), h_gates, carry))[number]
        if jnp.all(moved == value):
            raise AssertionError(f"{name}: its value is the same where its own input is another")


def rows_are_alone(case: Case) -> None:
    """A step of many rows and times at once is that of each alone. What reduces, normalises,
    splits or indexes along another axis than the last (axis=-1, [..., i]) breaks this."""
    step, axes = case.cell.step, (2, 3)

    @jax.jit
    def together_and_alone(gates):
        alone = [step(*jax.tree.map(lambda a: a[i], gates)) for i in np.ndindex(axes)]
        stacked = [jnp.stack(states).reshape(*axes, -1) for states in zip(*alone, strict=True)]
        return step(*gates), tuple(stacked)

    same(*together_and_alone(case.gates(*axes)), "state ")


def an_additive_cell_reads_only_the_sum(case: Case) -> None:
    """`additive=True` says that a step reads x_gates + h_gates and neither alone. A gate inside the
    recurrent product, such as GRU's reset, breaks this: leave additive out."""
    if not case.cell.additive:
        return
    x_gates, h_gates, carry = case.gates(3)
    shift, step = case.normal(*x_gates.shape), jax.jit(case.cell.step)
    moved = step(x_gates + shift, h_gates - shift, carry)
    same(moved, step(x_gates, h_gates, carry), "state ")


def an_affine_cell_steps_by_its_affine(case: Case) -> None:
    """`affine` gives (a, b) with which the step is a h + b, of one state and no h_gates. An affine
    that has not followed a change of the step breaks this."""
    if case.cell.affine is None:
        return
    x_gates, h_gates, (h,) = case.gates(3)
    (stepped,) = jax.jit(case.cell.step)(x_gates, h_gates, (h,))
    a, b = jax.jit(case.cell.affine)(x_gates)
    same(stepped, a * h + b, "h")


def own_backward_is_autodiff(case: Case) -> None:
    """`pull(linearize(...))` is the reverse derivative of `step`. A term that is left out, a step
    changed since, or units that mix where the derivative is elementwise break this. Without
    linearize and pull autodiff does it, more slowly."""
    if case.cell.linearize is None:
        return
    gates = case.gates(3)
    d_carry = tuple(case.normal(*s.shape) for s in gates[2])

    @jax.jit
    def both(gates, d_carry):
        stepped, pull = jax.vjp(case.cell.step, *gates)
        own = case.cell.pull(case.cell.linearize(*gates, stepped), d_carry)
        names = ("d_x_gates", "d_h_gates", "d_carry")
        return [dict(zip(names, g, strict=True)) for g in (own, pull(d_carry))]

    same(*both(gates, d_carry))


OF_A_STEP = (
    gates_are_named,
    a_step_keeps_the_carry,
    a_step_is_pure,
    rows_are_alone,
    an_additive_cell_reads_only_the_sum,
    an_affine_cell_steps_by_its_affine,
    values_are_those_of_the_gates,
    own_backward_is_autodiff,
)
