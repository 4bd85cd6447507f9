"""One time step: the equations of the papers, and what every step promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import cells
from seqgen.errors import UsageError
from seqgen.testing import check_cell, steps

# the others are held to all of the suite in test_recurrence.py
ACTIVATED = [cells.rnn("relu"), cells.rnn("sin"), cells.rnn("gelu")]


def logistic(x):
    return 1 / (1 + np.exp(-x))


def inputs(cell, units=5):
    """(x_gates, h_gates, carry) of 3 rows."""
    keys = jax.random.split(jax.random.key(1), 3)
    x_gates, h_gates = (jax.random.normal(k, (3, cell.num_gates * units)) for k in keys[:2])
    carry = tuple(jax.random.normal(keys[2], (cell.num_states, 3, units)))
    return x_gates, None if cell.affine is not None else h_gates, carry


def test_lstm_is_the_papers_equations():
    x_gates, h_gates, (c, h) = inputs(cells.lstm())
    store, forget, candidate, output = np.split(np.asarray(x_gates + h_gates), 4, axis=-1)
    new_c = logistic(forget) * c + logistic(store) * np.tanh(candidate)
    new_h = logistic(output) * np.tanh(new_c)
    np.testing.assert_allclose(
        cells.lstm().step(x_gates, h_gates, (c, h)), (new_c, new_h), rtol=1e-5, atol=1e-6
    )


def test_gru_is_the_papers_equations():
    x_gates, h_gates, (h,) = inputs(cells.gru())
    x, g = (np.split(np.asarray(a), 3, axis=-1) for a in (x_gates, h_gates))
    reset, update = logistic(x[0] + g[0]), logistic(x[1] + g[1])
    candidate = np.tanh(x[2] + reset * g[2])
    expected = (1 - update) * candidate + update * h
    (new_h,) = cells.gru().step(x_gates, h_gates, (h,))
    np.testing.assert_allclose(new_h, expected, rtol=1e-5, atol=1e-6)


def test_min_gru_is_the_papers_equations_for_any_sign_of_h():
    x_gates, _, (h,) = inputs(cells.min_gru())
    assert jnp.any(h < 0)
    store, candidate = np.split(np.asarray(x_gates), 2, axis=-1)
    expected = (1 - logistic(store)) * h + logistic(store) * candidate
    (new_h,) = cells.min_gru().step(x_gates, None, (h,))
    np.testing.assert_allclose(new_h, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cell", ACTIVATED)
def test_a_step_has_every_property_of_a_step(cell):
    check_cell(cell, steps.OF_A_STEP)


@pytest.mark.parametrize("cell", [*map(cells.named, cells.names()), *ACTIVATED])
def test_the_values_of_the_gates_are_what_the_step_is_made_of(cell):
    x_gates, h_gates, carry = inputs(cell)
    gate = dict(zip(cell.gates, cell.values(x_gates, h_gates, carry), strict=True))
    stepped, h = cell.step(x_gates, h_gates, carry), carry[-1]
    if "forget" in gate:
        update = gate["forget"] * carry[0] + gate["store"] * gate["candidate"]
        expected = (update, gate["output"] * jnp.tanh(update))
    elif "store" in gate:
        expected = (h + gate["store"] * (gate["candidate"] - h),)
    elif "update" in gate:
        expected = (gate["update"] * h + (1 - gate["update"]) * gate["candidate"],)
    else:
        expected = (gate["candidate"],)
    for found, wanted in zip(stepped, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


def test_a_step_that_mixes_units_or_rows_is_refused():
    def normalised(x_gates, h_gates, carry):
        gates = x_gates + h_gates
        return (jnp.tanh(gates - gates.mean(-1, keepdims=True)),)

    def batch_centred(x_gates, h_gates, carry):
        return (x_gates + h_gates - x_gates.mean(0, keepdims=True),)

    def mixes_the_carry(x_gates, h_gates, carry):
        return (x_gates + h_gates + jnp.roll(carry[0], 1, axis=-1),)

    for step in (normalised, batch_centred, mixes_the_carry):
        with pytest.raises(UsageError, match="mixes units"):
            cells.elementwise(step, num_gates=1, num_states=1)


@pytest.mark.parametrize(
    "name",
    ["softmax", "sort", "flip", "transpose", "max", "glu", "one_hot", "isnan", "frexp", "add"],
)
def test_an_activation_maps_each_number_by_itself(name):
    with pytest.raises(UsageError, match=f"activation '{name}' does not map each number"):
        cells.rnn(name)


def test_unknown_names_are_answered_with_the_choices():
    with pytest.raises(UsageError, match="did you mean 'lstm'.* gru, lstm, min_gru, rnn"):
        cells.named("lstn")
    with pytest.raises(UsageError, match="did you mean 'softplus'"):
        cells.named("rnn", activation="softplux")


def test_a_name_gives_the_same_cell_each_time():
    """Cells are static arguments of compiled functions: a new one each time would recompile."""
    for name in cells.names():
        assert cells.named(name) is cells.named(name)
    assert cells.named("rnn", activation="relu") is not cells.named("rnn")


def test_cells_can_be_made_while_tracing():
    cells.gru.cache_clear()
    jax.jit(lambda x: x + cells.gru().num_gates)(1.0)
    assert cells.gru().num_gates == 3
