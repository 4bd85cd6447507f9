"""A game of points in the plane at one moment: where the fakes are, and where they are drawn to."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

FAKES = 500  # points made


def applies(model: nn.Module, spec: dict[str, Any]) -> bool:
    """Whether the examples are points in the plane, and one score of a point is all there is."""
    points = spec["inputs"]["kind"] == "vector" and spec["inputs"]["size"] == 2
    return points and not model.options.conditional  # a score for each class would be many fields


def frame(
    generator_loss: Callable[[jax.Array, jax.Array], jax.Array],
    d: Callable[[jax.Array], jax.Array],
    real_N2: jax.Array,
    fake_M2: jax.Array,
    place_X2: jax.Array,
) -> dict[str, jax.Array]:
    """What `Objective.frame` has: fakes, their pull, the discriminator's field, D of either kind.

    The pull is -(slope of the generator's loss) at each fake, that loss being the mean over the
    real points where one of them stands beside the fake (relativistic).

    Args:
      generator_loss: (d of real, d of fake) -> what the generator makes small, entry by entry.
      d: the score of points.
      real_N2: real points.
      fake_M2: fake ones.
      place_X2: where the field is wanted.
    """
    real_N = d(real_N2)

    def loss(x_M2):
        return jnp.sum(jnp.mean(generator_loss(real_N[None], d(x_M2)[:, None]), axis=1))

    return {
        "fake": fake_M2,
        "pull": -jax.grad(loss)(fake_M2),
        "field": jax.nn.sigmoid(d(place_X2)),
        "d_real": jnp.mean(jax.nn.sigmoid(real_N)),
        "d_fake": jnp.mean(jax.nn.sigmoid(d(fake_M2))),
    }
