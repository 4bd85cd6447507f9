"""Every cell and every walk has the properties of the suite, and what else `unroll` promises."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import plain
import pytest
from jax.test_util import check_grads

from seqgen import cells, recurrence
from seqgen.errors import UsageError
from seqgen.testing import check_cell, loop

pytestmark = pytest.mark.usefixtures("float64")
B, T, E, D = 3, 5, 4, 6
LENGTH = (5, 0, 3)
RESET = np.zeros((B, T), bool)
RESET[0, [2, 3]] = RESET[1, 0] = RESET[2, [0, 4]] = True
CELLS = {name: cells.named(name) for name in cells.names()}
MODES = {  # one at a time; the suite tries all at once
    "plain": {},
    "length": {"length_B": LENGTH},
    "hold": {"hold": "random"},
    "reset": {"reset": RESET},
    "reverse": {"reverse": True},
}


def problem(cell, steps=T, seed=0):
    """(params, x_BTE, carry) with no zeros anywhere."""
    keys = iter(jax.random.split(jax.random.key(seed), 6))
    width = cell.num_gates * D
    params = {
        "w_x_EG": jax.random.normal(next(keys), (E, width)) * 0.5,
        "b_G": jax.random.normal(next(keys), (width,)) * 0.3,
    }
    key_h, key_bias = next(keys), next(keys)
    if cell.affine is None:
        params["w_h_DG"] = jax.random.normal(key_h, (D, width)) * 0.5
        if not cell.additive:
            params["b_h_G"] = jax.random.normal(key_bias, (width,))
    x_BTE = jax.random.normal(next(keys), (B, steps, E))
    return params, x_BTE, tuple(jax.random.normal(next(keys), (cell.num_states, B, D)))


def options(mode):
    """A mode's arguments of `unroll`."""
    chosen = dict(MODES[mode])
    if "hold" in chosen:
        hold = jax.random.uniform(jax.random.key(5), (B, T, D))
        chosen["hold"] = hold.at[:, 1].set(1.0).at[:, 2].set(0.0)
    return {k: v if k == "reverse" else jnp.asarray(v) for k, v in chosen.items()}


@functools.cache
def expected(name, mode):
    cell = CELLS[name]
    chosen = options(mode)
    lengths = LENGTH if "length_B" in chosen else (T,) * B
    parts = {name: value for name, value in chosen.items() if name != "length_B"}
    run = functools.partial(loop, cell, lengths=lengths, **parts)
    return plain.value_and_grads(run)(*problem(cell))


def assert_close(actual, wanted, tolerance=1e-10):
    jax.tree.map(
        lambda a, w: np.testing.assert_allclose(a, w, rtol=tolerance, atol=tolerance),
        actual,
        wanted,
    )


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_has_every_property(name):
    check_cell(CELLS[name])


# 3 leaves two of five steps over; between them, the modes see each length of a chunk
CHUNKS = {
    "plain": (1, T),
    "length": (3, T),
    "hold": (1, 3),
    "reset": (3, T),
    "reverse": (1, 3),
}
WAYS = [
    *((mode, "chunked", chunk) for mode, chunks in CHUNKS.items() for chunk in chunks),
    *((mode, "autodiff", None) for mode in MODES),
]


@pytest.mark.slow
@pytest.mark.parametrize(("mode", "backward", "chunk"), WAYS)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_the_loops(name, mode, backward, chunk):
    cell = CELLS[name]
    how = options(mode) | {"backward": backward, "chunk": chunk}
    run = jax.jit(plain.value_and_grads(lambda *args: recurrence.unroll(cell, *args, **how)))
    assert_close(run(*problem(cell)), expected(name, mode))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_associative_scan_is_the_loop(mode):
    cell = CELLS["min_gru"]
    how = options(mode) | {"parallel": True}
    run = jax.jit(plain.value_and_grads(lambda *args: recurrence.unroll(cell, *args, **how)))
    assert_close(run(*problem(cell)), expected("min_gru", mode))


def test_autodiff_backward_has_higher_orders():
    cell = CELLS["lstm"]
    run = jax.jit(lambda *args: recurrence.unroll(cell, *args, backward="autodiff"))
    check_grads(run, problem(cell, steps=3), order=2, modes=["rev"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "name", ["gru", *(pytest.param(n, marks=pytest.mark.slow) for n in ("lstm", "min_gru", "rnn"))]
)
def test_the_size_of_a_slope_has_the_gradient_that_differences_show(name):
    """A penalty on a discriminator's slope differentiates the chunked reverse pass once more."""
    cell = CELLS[name]
    params, x_BTE, carry = problem(cell)
    how = functools.reduce(dict.__or__, map(options, MODES)) | {"chunk": 2}

    @jax.jit
    def penalty(params):
        def score(x_BTE):
            last, _ = recurrence.unroll(cell, params, x_BTE, carry, **how)
            return jnp.sum(last[-1] ** 2)

        return jnp.sum(jax.grad(score)(x_BTE) ** 2)

    check_grads(penalty, (params,), order=1, modes=["rev"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("needed", ["params", "x", "carry"])
@pytest.mark.parametrize("read", ["outputs", "last"])
def test_a_gradient_does_not_depend_on_which_others_are_asked_for(needed, read):
    """The backward pass leaves out what nobody needs, or what no one reads."""
    cell = CELLS["lstm"]
    arguments = problem(cell)

    def total(*args):
        last, h_BTD = recurrence.unroll(cell, *args, chunk=2)
        return jnp.sum(h_BTD**2) if read == "outputs" else sum(jnp.sum(s**2) for s in last)

    every = jax.jit(jax.grad(total, (0, 1, 2)))(*arguments)
    which = ["params", "x", "carry"].index(needed)
    assert_close(jax.jit(jax.grad(total, which))(*arguments), every[which])


def test_a_reset_lets_nothing_through():
    cell = CELLS["gru"]
    params, x_BTE, carry = problem(cell)
    reset = jnp.zeros((B, T), bool).at[:, 3].set(True)

    def late(x_BTE, carry):
        h_BTD = recurrence.unroll(cell, params, x_BTE, carry, reset=reset, chunk=2)[1]
        return jnp.sum(h_BTD[:, 3:] ** 2)

    d_x, d_carry = jax.grad(late, (0, 1))(x_BTE, carry)
    assert jnp.all(d_x[:, 3:] != 0) and not jnp.any(d_x[:, :3]) and not jnp.any(d_carry[0])


def test_lanes_are_alone():
    """Other lanes under vmap change neither a result nor a gradient."""
    cell = CELLS["lstm"]
    lanes = [problem(cell, seed=seed) for seed in range(2)]
    run = jax.jit(plain.value_and_grads(lambda *args: recurrence.unroll(cell, *args, chunk=2)))
    stacked = jax.tree.map(lambda *arrays: jnp.stack(arrays), *lanes)
    together = jax.vmap(run)(*stacked)
    for lane, arguments in enumerate(lanes):
        assert_close(jax.tree.map(lambda a, lane=lane: a[lane], together), run(*arguments))


def test_normalize_sees_the_recurrent_gates():
    cell = CELLS["lstm"]
    params, x_BTE, carry = problem(cell)
    tripled = params | {"w_h_DG": params["w_h_DG"] * 3}
    run = functools.partial(recurrence.unroll, cell)
    assert_close(
        run(params, x_BTE, carry, normalize=lambda gates_BG: 3 * gates_BG),
        run(tripled, x_BTE, carry),
    )


@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_narrow_products_keep_wide_sums_and_carries(name):
    cell = CELLS[name]
    arguments = jax.tree.map(lambda a: a.astype(jnp.float32), problem(cell))

    def run(product_dtype):
        how = {"chunk": 2, "product_dtype": product_dtype}
        return jax.jit(plain.value_and_grads(lambda *args: recurrence.unroll(cell, *args, **how)))

    wide, narrow = run(None)(*arguments), run("bfloat16")(*arguments)
    assert_close(narrow, wide, tolerance=0.1)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(narrow[0][1]))
    products = str(jax.make_jaxpr(run("bfloat16"))(*arguments))
    assert products.count("preferred_element_type=float32") == products.count("dot_general[")


def test_hold_has_no_gradient_in_chunks_but_by_autodiff():
    cell = CELLS["rnn"]
    params, x_BTE, carry = problem(cell)

    def total(hold, backward):
        outputs = recurrence.unroll(cell, params, x_BTE, carry, hold=hold, backward=backward)
        return jnp.sum(outputs[1])

    hold = jnp.full((B, T, 1), 0.5)
    with pytest.raises(UsageError, match="backward='autodiff'"):
        jax.grad(total)(hold, "chunked")
    assert jnp.all(jax.grad(total)(hold, "autodiff") != 0)


def test_impossible_requests_are_refused():
    cell = CELLS["lstm"]
    with pytest.raises(UsageError, match="min_gru"):
        recurrence.unroll(cell, *problem(cell), parallel=True)
    with pytest.raises(UsageError, match="autodiff, chunked"):
        recurrence.unroll(cell, *problem(cell), backward="chunk")


@pytest.mark.parametrize("chunk", [0, -1])
def test_a_chunk_has_steps(chunk):
    with pytest.raises(UsageError, match=f"chunk must be at least 1, not {chunk}"):
        recurrence.unroll(CELLS["lstm"], *problem(CELLS["lstm"]), chunk=chunk)


@pytest.mark.parametrize(
    ("name", "how"),
    [(name, {"backward": way}) for name in CELLS for way in recurrence.BACKWARDS]
    + [("min_gru", {"parallel": True}), ("lstm", {"length_B": jnp.zeros(B, int)})],
)
def test_no_steps_leave_the_carry_as_it_was(name, how):
    """As in the plain loop, which is not entered: also its gradient is the carry's alone."""
    params, x_BTE, carry = problem(CELLS[name], steps=0)
    run = functools.partial(recurrence.unroll, CELLS[name], **how)
    wanted = (carry, jnp.zeros((B, 0, D)))
    assert_close(jax.jit(run)(params, x_BTE, carry), wanted)
    gradients = jax.jit(plain.value_and_grads(run))(params, x_BTE, carry)
    untouched = plain.value_and_grads(lambda params, x, carry: (carry, jnp.zeros((B, 0, D))))
    assert_close(gradients, untouched(params, x_BTE, carry))


def test_training_memory_grows_with_the_carries_not_the_gates():
    """At 1000 steps the chunked pass keeps less than half of what autodiff does."""
    cell = CELLS["lstm"]
    params, x_BTE, carry = problem(cell, steps=1000)

    def temporary(backward):
        def total(params):
            last, _ = recurrence.unroll(cell, params, x_BTE, carry, backward=backward)
            return jnp.sum(last[-1])

        compiled = jax.jit(jax.grad(total)).lower(params).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary("chunked") < temporary("autodiff") / 2
