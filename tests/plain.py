"""The definition of a recurrent network: a Python loop over the real steps of one row."""

import jax
import jax.numpy as jnp


def walk(
    cell,
    params,
    x_TE,
    state,
    *,
    length=None,
    hold_TD=None,
    reset_T=None,
    reverse=False,
    normalize=lambda gates_G: gates_G,
):
    """(last state, h_TD) of one row."""
    real = range(len(x_TE) if length is None else length)
    h_TD = [jnp.zeros_like(state[-1])] * len(x_TE)
    for t in reversed(real) if reverse else real:
        if reset_T is not None and reset_T[t]:
            state = tuple(jnp.zeros_like(s) for s in state)
        x_gates = x_TE[t] @ params["w_x_EG"] + params["b_G"]
        h_gates = None
        if cell.affine is None:
            h_gates = normalize(state[-1] @ params["w_h_DG"]) + params.get("b_h_G", 0.0)
        stepped = cell.step(x_gates, h_gates, state)
        kept = 0.0 if hold_TD is None else hold_TD[t]
        state = tuple(kept * o + (1 - kept) * n for o, n in zip(state, stepped, strict=True))
        h_TD[t] = state[-1]
    return state, jnp.stack(h_TD)


def stack_rows(rows):
    """A batch of what several rows gave."""
    return jax.tree.map(lambda *arrays: jnp.stack(arrays), *rows)


def value_and_grads(run):
    """A scalar that weighs each number of a function of three arguments differently, and all three
    of its gradients; the function's outputs beside the scalar."""

    def total(*arguments):
        outputs = run(*arguments)
        value = 0.0
        for number, leaf in enumerate(jax.tree.leaves(outputs)):
            weight = jax.random.normal(jax.random.key(number), leaf.shape)
            value += jnp.sum(jnp.sin(leaf) * weight)
        return value, outputs

    return jax.value_and_grad(total, (0, 1, 2), has_aux=True)
