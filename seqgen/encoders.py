"""Networks that read an example: a picture, a vector or a sequence, to features.

Normalised, where they are, within each example, so that a row's features depend on no other row and
nothing has to be remembered from batch to batch.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen.errors import not_among
from seqgen.layers import Recurrent, RecurrentOptions

OF_PICTURES = ("conv", "mlp")
NAMES = (*OF_PICTURES, "recurrent")
GROUPS = 8  # of the channels that are normalised together, fewer where they do not divide

Activation = Callable[[jax.Array], jax.Array]


def problems(options: Any) -> Iterator[str]:
    """Sentences for the `encoder` and `encoder_sizes` of a model of pictures."""
    yield from not_among(options, "model.", encoder=OF_PICTURES)
    if not options.encoder_sizes or min(options.encoder_sizes) < 1:
        yield f"model.encoder_sizes must be numbers of at least 1, not {options.encoder_sizes}"


def make(name: str, sizes: tuple[int, ...], activation: Activation, normalize: bool) -> nn.Module:
    """The encoder of pictures of that name, of so many channels or units in each layer."""
    return {"conv": Conv, "mlp": MLP}[name](sizes, activation, normalize)


class Conv(nn.Module):
    """Convolutions of 3 × 3, each halving height and width.

    Group-normalised (Wu and He 2018) if at all.
    """

    sizes: tuple[int, ...]
    activation: Activation
    normalize: bool

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """The feature map [B, h, w, sizes[-1]]; after n layers h = H / 2 ** n, rounded up."""
        x_BHWC = centred(x_BHWC)
        for size in self.sizes:
            conv = nn.Conv(
                size,
                (3, 3),
                strides=2,
                use_bias=not self.normalize,
                param_dtype=float,
                conv_general_dilated=by_patches,
            )
            x_BHWC = conv(x_BHWC)
            if self.normalize:
                x_BHWC = GroupNorm()(x_BHWC)
            x_BHWC = self.activation(x_BHWC)
        return x_BHWC


def centred(x: jax.Array) -> jax.Array:
    """A picture's numbers from [0, 1] to [-1, 1], all others as they are."""
    return 2 * x - 1 if x.ndim == 4 else x


def map_side(side: int, sizes: tuple[int, ...]) -> int:
    """Height or width of `Conv`'s feature map of a picture with such a height or width."""
    for _ in sizes:
        side = -(-side // 2)
    return side


def by_patches(
    x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Any, **kw: Any
) -> jax.Array:
    """The convolution by a kernel [h, w, C, D] with "SAME" padding, as one product.

    Called as Flax's Conv calls `jax.lax.conv_general_dilated`; other paddings are not asked for.
    Inside a loop, and the train step is in one, XLA computes a convolution on a CPU more than ten
    times as slowly.
    """
    del padding, kw
    high, wide = kernel.shape[:2]
    pads, sides = [(0, 0)], []
    for side, length, stride in zip(x_BHWC.shape[1:3], (high, wide), strides, strict=True):
        sides.append(-(-side // stride))
        missing = max(stride * (sides[-1] - 1) + length - side, 0)
        pads.append((missing // 2, missing - missing // 2))
    x_BHWC = jnp.pad(x_BHWC, (*pads, (0, 0)))
    down, across = (stride * (side - 1) + 1 for side, stride in zip(sides, strides, strict=True))
    window = [
        x_BHWC[:, i : i + down : strides[0], j : j + across : strides[1]]
        for i in range(high)
        for j in range(wide)
    ]
    patches_BHWK = jnp.concatenate(window, axis=-1)
    w_KD = kernel.reshape(-1, kernel.shape[-1])
    y_ND = product(patches_BHWK.reshape(-1, w_KD.shape[0]), w_KD)
    return y_ND.reshape(*patches_BHWK.shape[:-1], -1)


@jax.custom_vjp
def product(rows_NK: jax.Array, w_KD: jax.Array) -> jax.Array:
    """`rows_NK @ w_KD` for many rows and a small matrix, differentiable any number of times.

    JAX's own derivative in the matrix is the transpose of a product [D, N] by [N, K]; the other
    order needs no transpose, and took a CPU about half the time.
    """
    return rows_NK @ w_KD


product.defvjp(
    lambda rows_NK, w_KD: (rows_NK @ w_KD, (rows_NK, w_KD)),
    lambda factors, d_ND: (d_ND @ factors[1].T, factors[0].T @ d_ND),
)


class GroupNorm(nn.Module):
    """Flax's GroupNorm of GROUPS groups of channels, with the same parameters.

    Sums over places come first, for each channel, and only those sums are put together to groups:
    a sum over the few channels of a group, place by place, took a CPU up to 2.6 times as long.
    """

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        """The map, of mean 0 and variance 1 in each group, then scaled and shifted."""
        rows, high, wide, channels = x_BHWC.shape
        scale_C = self.param("scale", nn.initializers.ones, (channels,), float)
        bias_C = self.param("bias", nn.initializers.zeros, (channels,), float)
        groups = math.gcd(channels, GROUPS)

        def of_group(sum_BC):
            mean_BG = jnp.mean(sum_BC.reshape(rows, groups, -1), axis=-1) / (high * wide)
            return jnp.repeat(mean_BG, channels // groups, axis=-1)

        mean_BC = of_group(jnp.sum(x_BHWC, axis=(1, 2)))
        square_BC = of_group(jnp.sum(x_BHWC**2, axis=(1, 2)))
        variance_BC = jnp.maximum(square_BC - mean_BC**2, 0)  # rounding may leave it below
        scale_BC = scale_C[None] * jax.lax.rsqrt(variance_BC + 1e-6)
        shift_BC = bias_C[None] - mean_BC * scale_BC
        return x_BHWC * scale_BC[:, None, None] + shift_BC[:, None, None]


class MLP(nn.Module):
    """Dense layers over all numbers of the example.

    Layer-normalised (Ba, Kiros and Hinton 2016) if at all.
    """

    sizes: tuple[int, ...]
    activation: Activation
    normalize: bool

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """The vector [B, sizes[-1]], without layers that of the numbers themselves."""
        x_BF = centred(x).reshape(x.shape[0], -1)
        for size in self.sizes:
            x_BF = nn.Dense(size, use_bias=not self.normalize, param_dtype=float)(x_BF)
            if self.normalize:
                x_BF = nn.LayerNorm(param_dtype=float)(x_BF)
            x_BF = self.activation(x_BF)
        return x_BF


class LastState(nn.Module):
    """A recurrent stack; what it knows of a sequence after its last real step."""

    options: RecurrentOptions

    @nn.compact
    def __call__(self, x_BTE: jax.Array, length_B: jax.Array | None) -> jax.Array:
        """The vector [B, D] of the top layer, [B, 2 D] of both directions."""
        carry, _ = Recurrent(self.options)(x_BTE, length_B=length_B)
        return jnp.concatenate([direction[-1] for direction in carry[-1]], axis=-1)
