"""What many steps of a cell promise, as `recurrence.unroll` walks them; the plain loop defines it.

Most are a promise of the walk to every cell that keeps what `steps.py` asks of it.
"""

import jax
import jax.numpy as jnp
import numpy as np

from seqgen import recurrence
from seqgen.testing.case import Case, loop, with_gradients
from seqgen.testing.verdict import same

CHUNK = 2  # of five steps: two chunks, and what is left over


def a_walk_is_the_loop(case: Case) -> None:
    """Values and gradients of a scan over all rows and steps are those of a Python loop over them,
    also where rows end, states are held and sequences start anew."""
    lengths = tuple(map(int, case.options["length_B"]))
    parts = {name: case.options[name] for name in ("hold", "reset")}
    defined = with_gradients(
        lambda *args: loop(case.cell, *args, lengths=lengths, **parts),
        case.arguments,
        case.cotangents,
    )
    same(case.by_autodiff(), defined)


def gradients_are_limits_of_differences(case: Case) -> None:
    """A gradient is the limit of the differences that its argument makes. A stop_gradient, a
    straight-through estimator and a wrong custom_jvp or custom_vjp break this."""
    walked = case.by_autodiff()
    for place, name in enumerate(("params", "x_BTE", "carry")):
        toward = jax.tree.map(lambda a: case.normal(*a.shape), case.arguments[place])

        def value(distance):
            moved = jax.tree.map(lambda a, d: a + distance * d, case.arguments[place], toward)
            arguments = (*case.arguments[:place], moved, *case.arguments[place + 1 :])
            there = case.walk(arguments, case.options, case.cotangents, backward="autodiff")
            return _weighed((there["last"], there["h_BTD"]), case.cotangents)

        slope, limit = _weighed(walked[f"d_{name}"], toward), (value(1e-6) - value(-1e-6)) / 2e-6
        if not np.isclose(slope, limit, rtol=1e-5, atol=1e-6):
            raise AssertionError(
                f"along a direction of {name} the slope is {slope:.6g}, not {limit:.6g}"
            )


def forward_mode_is_reverse_mode(case: Case) -> None:
    """By autodiff, the derivative along a direction is the gradient's product with it. A custom_vjp
    in the step, which has no forward mode, breaks this: write a custom_jvp."""
    toward = jax.tree.map(lambda a: case.normal(*a.shape), case.arguments)

    @jax.jit
    def moved(arguments, toward):
        def walk(*arguments):
            return recurrence.unroll(case.cell, *arguments, **case.options, backward="autodiff")

        return jax.jvp(walk, arguments, toward)[1]

    walked = case.by_autodiff()
    forward = _weighed(moved(case.arguments, toward), case.cotangents)
    gradients = walked["d_params"], walked["d_x_BTE"], walked["d_carry"]
    same(forward, _weighed(gradients, toward), "slope")


def chunks_do_not_matter(case: Case) -> None:
    """A walk in chunks, with the cell's own backward pass, is the plain scan and its autodiff. A
    linearize that splits or reduces along another axis than the last breaks this: it sees a chunk
    of steps at once."""
    if case.cell.linearize is None:
        return
    in_chunks = case.walk(case.arguments, case.options, case.cotangents, chunk=CHUNK)
    same(in_chunks, case.by_autodiff())


def padding_has_no_influence(case: Case) -> None:
    """Whatever padding holds, and however long it is: the same results, and no gradient. A step
    that is not finite on inputs of zeros, as after x / norm(x), breaks this."""
    params, x_BTE, carry = case.arguments
    half = x_BTE.shape[1] // 2
    options = case.plain() | {"length_B": jnp.minimum(case.options["length_B"], half)}
    real_BT1 = (jnp.arange(x_BTE.shape[1])[None] < options["length_B"][:, None])[..., None]
    # the biases of a new layer: with them, zeros are what the gates of padding are
    params = {n: jnp.zeros_like(p) if n.startswith("b_") else p for n, p in params.items()}
    d_last, d_h_BTD = case.cotangents
    long = case.walk(
        (params, jnp.where(real_BT1, x_BTE, jnp.nan), carry),
        options,
        case.cotangents,
        chunk=CHUNK,
    )
    short = case.walk(
        (params, x_BTE[:, :half], carry),
        options | {name: options[name][:, :half] for name in ("hold", "reset")},
        (d_last, d_h_BTD[:, :half]),
        chunk=CHUNK,
    )
    padded = ((0, 0), (0, x_BTE.shape[1] - half), (0, 0))
    same(long, short | {name: jnp.pad(short[name], padded) for name in ("h_BTD", "d_x_BTE")})
    for name in ("h_BTD", "d_x_BTE"):
        if jnp.any(jnp.where(real_BT1, 0, long[name])):
            raise AssertionError(f"{name} is not exactly zero where there is padding")


def the_batch_does_not_matter(case: Case) -> None:
    """A row is the same whatever the others are. A step that is centred over the batch, or whose
    states are mixed up between rows, breaks this."""
    params, x_BTE, carry = case.arguments
    others = (jnp.arange(len(x_BTE)) > 0)[:, None]
    arguments = (
        params,
        jnp.where(others[..., None], -2 * x_BTE, x_BTE),
        tuple(jnp.where(others, 1 - s, s) for s in carry),
    )
    other = case.walk(arguments, case.options, case.cotangents, chunk=CHUNK)
    before = case.walk(case.arguments, case.options, case.cotangents, chunk=CHUNK)
    same(_row(other, 0), _row(before, 0))


def reverse_twice_is_identity(case: Case) -> None:
    """Rows turned round within their lengths and walked in reverse, in one chunk, are the walk
    forward, turned round."""
    params, x_BTE, carry = case.arguments
    steps, length_B = np.arange(x_BTE.shape[1])[None], np.asarray(case.options["length_B"])[:, None]
    place_BT = np.where(steps < length_B, length_B - 1 - steps, steps)

    def turned(a):
        return a[np.arange(len(a))[:, None], place_BT]

    options = case.options | {name: turned(case.options[name]) for name in ("hold", "reset")}
    d_last, d_h_BTD = case.cotangents
    back = case.walk(
        (params, turned(x_BTE), carry),
        options,
        (d_last, turned(d_h_BTD)),
        reverse=True,
        chunk=x_BTE.shape[1],
    )
    forward = case.walk(case.arguments, case.options, case.cotangents, chunk=CHUNK)
    same(back | {name: turned(back[name]) for name in ("h_BTD", "d_x_BTE")}, forward)


def a_carry_handed_over_is_one_pass(case: Case) -> None:
    """Two walks, the second of which begins with the last carry of the first, are one walk. State
    that a cell keeps anywhere but in its carry breaks this."""
    params, x_BTE, carry = case.arguments
    half = x_BTE.shape[1] // 2
    d_last, d_h_BTD = case.cotangents
    outputs = []
    for start in range(0, 2 * half, half):
        part = slice(start, start + half)
        options = {name: case.options[name][:, part] for name in ("hold", "reset")}
        options["length_B"] = jnp.clip(case.options["length_B"] - start, 0, half)
        arguments = (params, x_BTE[:, part], carry)
        walked = case.walk(arguments, options, (d_last, d_h_BTD[:, part]), chunk=CHUNK)
        carry = walked["last"]
        outputs.append(walked["h_BTD"])
    options = case.options | {"length_B": jnp.minimum(case.options["length_B"], 2 * half)}
    whole = case.walk(case.arguments, options, case.cotangents, chunk=CHUNK)
    pieces = {"last": carry, "h_BTD": jnp.concatenate(outputs, axis=1)}
    same(pieces, {"last": whole["last"], "h_BTD": whole["h_BTD"][:, : 2 * half]})


def later_inputs_have_no_influence(case: Case) -> None:
    """The gradient of an output with respect to later inputs is exactly zero. An affine that
    normalises or sums over time breaks this."""
    d_last, d_h_BTD = case.cotangents
    early = d_h_BTD.shape[1] // 2
    only = jax.tree.map(jnp.zeros_like, d_last), jnp.zeros_like(d_h_BTD).at[:, early].set(1.0)
    ways = [{"backward": "autodiff"}] + [{"parallel": True}] * (case.cell.affine is not None)
    for how in ways:
        d_x_BTE = case.walk(case.arguments, case.plain(), only, **how)["d_x_BTE"]
        if jnp.any(d_x_BTE[:, early + 1 :] != 0):
            raise AssertionError(f"output {early} has a gradient by inputs after it ({how})")


def a_parallel_walk_is_the_scan(case: Case) -> None:
    """Of an affine cell, all steps at once are one after the other. An affine that splits along
    another axis than the last breaks this: it sees all steps at once."""
    if case.cell.affine is None:
        return
    parallel = case.walk(case.arguments, case.options, case.cotangents, parallel=True)
    same(parallel, case.by_autodiff())


def _weighed(tree, weights):
    """The sum of all numbers of a tree, each times its weight."""
    products = jax.tree.map(
        lambda a, w: float(np.sum(np.asarray(a) * np.asarray(w))), tree, weights
    )
    return sum(jax.tree.leaves(products))


def _row(walked, row):
    """What a walk says of one row; the parameters' gradient is that of all."""
    return {n: jax.tree.map(lambda a: a[row], w) for n, w in walked.items() if n != "d_params"}


OF_A_WALK = (
    a_walk_is_the_loop,
    gradients_are_limits_of_differences,
    chunks_do_not_matter,
    padding_has_no_influence,
    the_batch_does_not_matter,
    a_carry_handed_over_is_one_pass,
    later_inputs_have_no_influence,
    a_parallel_walk_is_the_scan,
    reverse_twice_is_identity,
    forward_mode_is_reverse_mode,
)
