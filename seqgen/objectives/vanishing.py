"""A penalty on gradients that grow or vanish along time: Pascanu, Mikolov & Bengio 2013.

    Ω = Σ_t (‖∂L/∂h_t · ∂h_t/∂h_{t-1}‖ / ‖∂L/∂h_t‖ - 1)²        (their equation 9)

asks every step to hand the gradient back as long as it was. As in their equation 10 the immediate
dependence on the recurrent weights alone is differentiated: ∂L/∂h_t, the states and the slopes at
them count as constants. So Ω needs the gradients of the states, but no derivative of those.
`likelihood.py` adds it to its loss.
"""

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from seqgen import cells, chunks
from seqgen.errors import UsageError
from seqgen.layers import Direction

FAINT = 1e-20  # the least squared length that counts as a gradient, as in the authors' code


class Walk(NamedTuple):
    """What one layer read and did."""

    x: jax.Array  # [B, T, E]
    first: jax.Array  # [B, D], its state before the first step
    length: jax.Array | None  # [B]
    last: jax.Array  # [B, D]
    h: jax.Array  # [B, T, D]


def check(model: nn.Module, per: str) -> None:
    """Raises UsageError for a model that Ω is not for; `per` is what there is a target for."""
    options = getattr(model, "options", None)
    if per == "answer" or not hasattr(options, "cell"):
        raise UsageError(
            "objective.vanishing_penalty is for model many_to_one or many_to_many, not for "
            f"{type(model).__name__}"
        )
    cell = cells.named(options.cell, options.activation)
    hands_on_h = cell.num_states == 1 and cell.affine is None and cell.linearize is not None
    unfit = {
        f"model.cell={options.cell}": not hands_on_h,
        "model.recurrent=False": not getattr(options, "recurrent", True),
        "model.bidirectional": options.bidirectional,
        "model.normalize": options.normalize,
        "model.zoneout": options.zoneout is not None,
    }
    if any(unfit.values()):
        raise UsageError(
            "objective.vanishing_penalty is for cells that hand on h alone by recurrent weights "
            "and are linearized, such as rnn or gru, in one direction, neither normalised nor "
            "held; not for " + ", ".join(name for name, is_so in unfit.items() if is_so)
        )


def penalty_B(model: nn.Module, loss: Callable[[Any], jax.Array], own: Any) -> jax.Array:
    """Ω of each row, [B], the sum over its real steps and over the layers.

    loss: parameters -> the sum over rows, each of which depends on its own states alone.
    own: the parameters. Their recurrent weights are what Ω can be differentiated in.
    """
    cell = cells.named(model.options.cell, model.options.activation)
    fixed = lax.stop_gradient(own)
    walks = jax.eval_shape(lambda own: watched(loss, own, None)[1], fixed)
    still = jax.tree.map(
        lambda shape: jnp.zeros(shape.shape, shape.dtype),
        {path: (walk.last, walk.h) for path, walk in walks.items()},
    )
    direct, walks = jax.grad(lambda probes: watched(loss, fixed, probes), has_aux=True)(still)
    omegas_B = []
    for path, walk in walks.items():
        of_layer = reduce(lambda tree, name: tree[name], path, own)
        omegas_B.append(_of_layer(cell, of_layer, walk, *direct[path]))
    return sum(omegas_B)


def watched(
    loss: Callable[[Any], jax.Array], own: Any, probes: dict[Any, Any] | None
) -> tuple[jax.Array, dict[Any, Walk]]:
    """(the loss, the walks of all layers by their paths).

    probes: by path, what is added to a layer's last state and to its outputs once it has walked, so
    that the gradient in them is how the loss depends on each but for what the layer hands on.
    """
    walks = {}

    def watch(call, args, kwargs, context):
        if not isinstance(context.module, Direction) or context.method_name != "__call__":
            return call(*args, **kwargs)
        x_BTE, (first_BD,), length_B, *_ = args
        (last_BD,), h_BTD = call(*args, **kwargs)
        path = context.module.path
        walks[path] = Walk(x_BTE, first_BD, length_B, last_BD, h_BTD)
        if probes is not None:
            last_BD, h_BTD = last_BD + probes[path][0], h_BTD + probes[path][1]
        return (last_BD,), h_BTD

    with nn.intercept_methods(watch):
        return loss(own), walks


def _of_layer(cell, params, walk, direct_last_BD, direct_BTD):
    """Ω of one layer [B], from the direct gradients of its last state and of its outputs."""
    weights_DG, fixed = params["w_h_DG"], lax.stop_gradient(params)
    before_BTD = jnp.concatenate([walk.first[:, None], walk.h[:, :-1]], axis=1)
    x_BTG = chunks.input_gates(cell, fixed, walk.x, None)
    h_BTG = chunks.recurrent_gates(cell, fixed, before_BTD, None)
    slopes = cell.linearize(x_BTG, h_BTG, (before_BTD,), (walk.h,))
    real_BT = jnp.ones(before_BTD.shape[:2], bool)
    if walk.length is not None:
        real_BT = jnp.arange(real_BT.shape[1])[None] < walk.length[:, None]

    def handed_back(weights_DG, slopes, d):
        """∂L/∂h_t · ∂h_t/∂h_{t-1}."""
        _, d_gates, (d_previous,) = cell.pull(slopes, (d,))
        return d_previous + d_gates @ weights_DG.T

    def one_step(d_BD, step):
        slopes, direct_BD, real_B = step
        d_BD = d_BD + direct_BD  # all that depends on h_t
        before_BD = handed_back(fixed["w_h_DG"], slopes, d_BD)
        return jnp.where(real_B[:, None], before_BD, d_BD), d_BD

    steps = jax.tree.map(lambda a: a.swapaxes(0, 1), (slopes, direct_BTD, real_BT))
    _, d_TBD = lax.scan(one_step, direct_last_BD, steps, reverse=True)
    after_TB = jnp.sum(d_TBD**2, axis=-1)
    before_TB = jnp.sum(handed_back(weights_DG, steps[0], d_TBD) ** 2, axis=-1)
    counts_TB = steps[2] & (after_TB >= FAINT)
    squared_TB = before_TB / jnp.where(counts_TB, after_TB, 1.0)
    ratio_TB = jnp.sqrt(jnp.maximum(squared_TB, FAINT))  # the root has no slope at 0
    return jnp.sum(jnp.where(counts_TB, (ratio_TB - 1) ** 2, 0.0), axis=0)
