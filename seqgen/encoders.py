"""Networks that read a picture: [B, H, W, C] in [0, 1] to one vector, or to a map of features.

Normalised within each example, so that a row's features depend on no other row and nothing has to
be remembered from batch to batch.
"""

import math
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen.errors import not_among

NAMES = ("conv", "mlp")
GROUPS = 8  # of the channels that are normalised together, fewer where they do not divide


def problems(options: Any) -> Iterator[str]:
    """Sentences for a model's `encoder` and `encoder_sizes`."""
    yield from not_among(options, "model.", encoder=NAMES)
    if not options.encoder_sizes or min(options.encoder_sizes) < 1:
        yield f"model.encoder_sizes must be numbers of at least 1, not {options.encoder_sizes}"


def make(name: str, sizes: tuple[int, ...]) -> nn.Module:
    """The encoder of that name, of so many channels or units in each layer."""
    return {"conv": Conv, "mlp": MLP}[name](sizes)


class Conv(nn.Module):
    """Convolutions of 3 × 3, each halving height and width, group-normalised (Wu and He 2018)."""

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """The feature map [B, h, w, sizes[-1]]; after n layers h = H / 2 ** n, rounded up."""
        x_BHWC = 2 * x_BHWC - 1
        for size in self.sizes:
            conv = nn.Conv(
                size,
                (3, 3),
                strides=2,
                use_bias=False,
                param_dtype=float,
                conv_general_dilated=halving,
            )
            norm = nn.GroupNorm(math.gcd(size, GROUPS), param_dtype=float)
            x_BHWC = nn.relu(norm(conv(x_BHWC)))
        return x_BHWC


def map_side(side: int, sizes: tuple[int, ...]) -> int:
    """Height or width of `Conv`'s feature map of a picture with such a height or width."""
    for _ in sizes:
        side = -(-side // 2)
    return side


def halving(x_BHWC: jax.Array, kernel: jax.Array, *args: Any, **kw: Any) -> jax.Array:
    """The convolution by a kernel [h, w, C, D] with stride 2 and "SAME" padding, as one product.

    What Flax's Conv says of strides and padding is not asked: it is this. Inside a loop, and the
    train step is in one, XLA computes a convolution on a CPU more than ten times as slowly.
    """
    del args, kw
    high, wide = kernel.shape[:2]
    pads, sides = [(0, 0)], []
    for side, length in zip(x_BHWC.shape[1:3], (high, wide), strict=True):
        sides.append(-(-side // 2))
        missing = max(2 * (sides[-1] - 1) + length - side, 0)
        pads.append((missing // 2, missing - missing // 2))
    x_BHWC = jnp.pad(x_BHWC, (*pads, (0, 0)))
    down, across = (2 * side for side in sides)
    window = [
        x_BHWC[:, i : i + down - 1 : 2, j : j + across - 1 : 2]
        for i in range(high)
        for j in range(wide)
    ]
    return jnp.concatenate(window, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


class MLP(nn.Module):
    """Dense layers over all pixels, each layer-normalised (Ba, Kiros and Hinton 2016)."""

    sizes: tuple[int, ...]

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """The vector [B, sizes[-1]]."""
        x_BF = 2 * x_BHWC.reshape(x_BHWC.shape[0], -1) - 1
        for size in self.sizes:
            dense = nn.Dense(size, use_bias=False, param_dtype=float)
            x_BF = nn.relu(nn.LayerNorm(param_dtype=float)(dense(x_BF)))
        return x_BF
