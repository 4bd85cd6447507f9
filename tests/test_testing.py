"""The suite catches a planted fault of each property, and names that property."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import cells, recurrence
from seqgen.cells import Cell
from seqgen.testing import OF_A_CELL, check_cell, check_generate, generate, steps, walks

SMALL = {"inputs": 2, "units": 2}


def plain(step, **facts):
    """A cell of one gate and one state, differentiated by autodiff."""
    return Cell(**({"num_gates": 1, "num_states": 1, "step": step, "gates": ("a",)} | facts))


def tanh(x_gates, h_gates, carry):
    return (jnp.tanh(x_gates + h_gates + 0.5 * carry[0]),)


def tanh_with(linearize=None, pull=None):
    """The cell of `tanh` with its own backward pass, a part of it replaced."""

    def right(x_gates, h_gates, carry, next_carry):
        return 1 - next_carry[0] ** 2

    def pulled(slope, d_carry):
        d_gates = slope * d_carry[0]
        return d_gates, d_gates, (0.5 * d_gates,)

    return plain(tanh, linearize=linearize or right, pull=pull or pulled)


def counting():
    calls = itertools.count(1)
    return plain(lambda x, h, carry: (jnp.tanh(x + h) * next(calls),))


def without_carry(slope, d_carry):
    d_gates = slope * d_carry[0]
    return d_gates, d_gates, (jnp.zeros_like(d_gates),)


def at_once_transposed(x_gates, h_gates, carry, next_carry):
    slope = 1 - next_carry[0] ** 2
    return slope if slope.ndim < 3 else slope[::-1]


def centred_units(x_gates, h_gates, carry):
    gates = x_gates + h_gates
    return (jnp.tanh(gates - gates.mean(-1, keepdims=True)),)


def diagonal(x_gates, h_gates, carry, next_carry):
    """As `elementwise` derives it: right only where units do not mix."""
    _, pull = jax.vjp(centred_units, x_gates, h_gates, carry)
    return pull((jnp.ones_like(carry[0]),))


def affine(change=lambda a, b: (a, b)):
    """A cell a h + b whose `affine` is its step's, but for a change where it sees all steps."""

    def ab(x_gates):
        store, candidate = jnp.split(x_gates, 2, axis=-1)
        store = jax.nn.sigmoid(store)
        return 1 - store, store * candidate

    def step(x_gates, h_gates, carry):
        a, b = ab(x_gates)
        return (a * carry[0] + b,)

    def of_all(x_gates):
        return change(*ab(x_gates))

    return plain(step, num_gates=2, affine=of_all, gates=("store", "candidate"))


def gated(values):
    """A right cell of two gates, with what it says of their values."""
    return affine()._replace(values=values)


@jax.custom_vjp
def backward_only(x):
    return jnp.tanh(x)


backward_only.defvjp(lambda x: (jnp.tanh(x), x), lambda x, d: (d * (1 - jnp.tanh(x) ** 2),))

FAULTY_CELLS = {
    "names for another number of gates": (plain(tanh, gates=("a", "b")), steps.gates_are_named),
    "a list of names": (plain(tanh, gates=["a"]), steps.gates_are_named),
    "another number of gates": (
        plain(lambda x, h, c: (jnp.tanh(jnp.split(x + h, 2, axis=-1)[0]),)),
        steps.a_step_keeps_the_carry,
    ),
    "a lone array": (plain(lambda x, h, carry: jnp.tanh(x + h)), steps.a_step_keeps_the_carry),
    "a narrower type": (
        plain(lambda x, h, carry: (jnp.tanh(x + h).astype(jnp.float32),)),
        steps.a_step_keeps_the_carry,
    ),
    "two states for one": (
        plain(lambda x, h, carry: (x + h, jnp.tanh(x + h))),
        steps.a_step_keeps_the_carry,
    ),
    "it counts its calls": (counting(), steps.a_step_is_pure),
    "it draws": (
        plain(lambda x, h, carry: (x + h + np.random.normal(size=x.shape),)),
        steps.a_step_is_pure,
    ),
    "rows leak": (
        plain(lambda x, h, carry: (jnp.tanh(x - x.mean(0, keepdims=True) + h),)),
        steps.rows_are_alone,
    ),
    "another axis than the last": (
        plain(lambda x, h, carry: (x * jnp.split(h, 2, axis=1)[0].mean(),)),
        steps.rows_are_alone,
    ),
    "not the sum alone": (
        plain(lambda x, h, carry: (jnp.tanh(x) * h,), additive=True),
        steps.an_additive_cell_reads_only_the_sum,
    ),
    "a value for one gate of two": (
        gated(lambda x, h, c: (jax.nn.sigmoid(jnp.split(x, 2, axis=-1)[0]),)),
        steps.values_are_those_of_the_gates,
    ),
    "values in another order": (
        gated(lambda x, h, c: tuple(jnp.tanh(part) for part in jnp.split(x, 2, axis=-1))[::-1]),
        steps.values_are_those_of_the_gates,
    ),
    "an affine of another step": (
        affine(lambda a, b: (a, 2 * b)),
        steps.an_affine_cell_steps_by_its_affine,
    ),
    "a pull that forgets the carry": (
        tanh_with(pull=without_carry),
        steps.own_backward_is_autodiff,
    ),
    "units mix, and it claims they do not": (
        plain(
            centred_units,
            linearize=diagonal,
            pull=lambda rows, d: jax.tree.map(lambda row: d[0] * row, rows),
        ),
        steps.own_backward_is_autodiff,
    ),
    "a linearize without a pull": (
        plain(tanh, linearize=lambda *args: args[0]),
        steps.own_backward_is_autodiff,
    ),
    "a part without gradient": (
        plain(lambda x, h, carry: (jnp.tanh(x + jax.lax.stop_gradient(h)),)),
        walks.gradients_are_limits_of_differences,
    ),
    "a linearize that is wrong of many steps": (
        tanh_with(linearize=at_once_transposed),
        walks.chunks_do_not_matter,
    ),
    "not finite on zeros": (
        plain(lambda x, h, c: (x / jnp.linalg.norm(x, axis=-1, keepdims=True) + jnp.tanh(h),)),
        walks.padding_has_no_influence,
    ),
    "it looks ahead": (
        affine(lambda a, b: (a, b if b.ndim < 3 else b - b.mean(0, keepdims=True))),
        walks.later_inputs_have_no_influence,
    ),
    "an affine that is wrong of many steps": (
        affine(lambda a, b: (a if a.ndim < 3 else a * a, b)),
        walks.a_parallel_walk_is_the_scan,
    ),
    "no forward mode": (
        plain(lambda x, h, carry: (backward_only(x + h),)),
        walks.forward_mode_is_reverse_mode,
    ),
}


def broken(holds):
    return f"^broken: {holds.__name__.replace('_', ' ')}\\. "


@pytest.mark.parametrize("fault", FAULTY_CELLS)
def test_a_faulty_cell_is_told_what_is_broken(fault):
    cell, holds = FAULTY_CELLS[fault]
    with pytest.raises(AssertionError, match=broken(holds)):
        check_cell(cell, **SMALL)


def faulty(unroll, fault):
    """`unroll` with a fault."""

    def walk(cell, params, x_BTE, carry, **options):
        if fault == "reset is forgotten":
            options["reset"] = None
        if fault == "length is forgotten":
            options["length_B"] = None
        if fault == "reverse is forgotten":
            options["reverse"] = False
        last, h_BTD = unroll(cell, params, x_BTE, carry, **options)
        if fault == "rows are centred":
            h_BTD -= h_BTD.mean(0, keepdims=True)
        if fault == "the last carry is that of the outputs before":
            last = (h_BTD[:, -2],)
        return last, h_BTD

    return walk


FAULTY_WALKS = {
    "reset is forgotten": walks.a_walk_is_the_loop,
    "length is forgotten": walks.padding_has_no_influence,
    "rows are centred": walks.the_batch_does_not_matter,
    "the last carry is that of the outputs before": walks.a_carry_handed_over_is_one_pass,
    "reverse is forgotten": walks.reverse_twice_is_identity,
}


@pytest.mark.parametrize("fault", FAULTY_WALKS)
def test_a_faulty_walk_lacks_the_property(fault, monkeypatch):
    """These are not a cell's to break: where the definition would find most, each finds it too."""
    holds = FAULTY_WALKS[fault]
    monkeypatch.setattr(recurrence, "unroll", faulty(recurrence.unroll, fault))
    with pytest.raises(AssertionError, match=broken(holds)):
        check_cell(cells.rnn(), (holds,), **SMALL)


class Reader(nn.Module):
    """A language model, with a fault or none: logits of a fading sum of the tokens' vectors."""

    fault: str | None
    size: int = 5
    width: int = 3

    def setup(self):
        self.table = nn.Embed(self.size, self.width, param_dtype=float)
        self.output = nn.Dense(self.size, param_dtype=float)

    def __call__(self, tokens_BT):
        if self.fault == "reads ahead":
            tokens_BT = jnp.roll(tokens_BT, -1, axis=1)
        _, (state_BW, *_) = self.start({"tokens_BT": tokens_BT})
        outputs = []
        for t in range(tokens_BT.shape[1]):
            state_BW, logits_BV = self.advance(state_BW, tokens_BT[:, t])
            outputs.append(logits_BV)
        return state_BW, jnp.stack(outputs, axis=1)

    def start(self, inputs):
        counts = (jnp.zeros(()),) if self.fault == "counts steps" else ()
        return None, (jnp.zeros((inputs["tokens_BT"].shape[0], self.width)), *counts)

    def step(self, context, carry, token_B):
        state_BW, *counts = carry
        state_BW, logits_BV = self.advance(state_BW, token_B)
        if self.fault == "writes by another scale":
            logits_BV *= 0.5
        return (state_BW, *(count + 1 for count in counts)), logits_BV

    def advance(self, state_BW, token_B):
        state_BW = 0.5 * state_BW + self.table(token_B)
        if self.fault == "centres rows":
            state_BW -= state_BW.mean(0, keepdims=True)
        share = 1 / len(token_B) if self.fault == "counts rows" else 1.0
        return state_BW, share * self.output(state_BW)


TEXT = {
    "length": 5,
    "inputs": {"kind": "token", "size": 5},
    "targets": {"kind": "category", "size": 5, "per": "step"},
}
FAULTY_READERS = {
    "reads ahead": generate.later_tokens_have_no_influence,
    "writes by another scale": generate.writing_is_the_whole_pass,
    "centres rows": generate.rows_are_alone,
    "counts rows": generate.the_batch_does_not_matter,
    "counts steps": generate.a_beam_of_1_is_greedy,
}


@pytest.mark.parametrize("fault", FAULTY_READERS)
def test_a_faulty_generator_is_told_what_is_broken(fault):
    with pytest.raises(AssertionError, match=broken(FAULTY_READERS[fault])):
        check_generate(Reader(fault), TEXT)


def test_without_a_fault_they_pass_and_settings_stay():
    """The cells and models of the house are held to the suite beside their own tests."""
    before = jax.config.jax_enable_x64
    check_generate(Reader(None), TEXT)
    for cell in (plain(tanh), tanh_with(), affine()):
        check_cell(cell, steps.OF_A_STEP, **SMALL)
    assert jax.config.jax_enable_x64 == before
    assert jnp.zeros(1).dtype == jnp.float32


def test_each_property_has_its_fault():
    caught = {holds for _, holds in FAULTY_CELLS.values()} | set(FAULTY_WALKS.values())
    assert caught == set(OF_A_CELL)
    assert set(FAULTY_READERS.values()) == set(generate.OF_A_GENERATOR)
