"""Networks that make an example of a vector: a picture, a vector or a sequence.

Their outputs are unbounded: what they parametrise is the model's business. `encoders.py` has their
counterparts.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen.encoders import Activation, GroupNorm, by_patches, map_side
from seqgen.layers import Recurrent, RecurrentOptions


class MLP(nn.Module):
    """Dense layers, the last of them to all numbers of the example at once."""

    sizes: tuple[int, ...]
    activation: Activation
    normalize: bool
    shape: tuple[int, ...]  # of an example

    @nn.compact
    def __call__(self, z_BZ: jax.Array) -> jax.Array:
        """[B, *shape]."""
        x_BF = z_BZ
        for size in self.sizes:
            x_BF = nn.Dense(size, use_bias=not self.normalize, param_dtype=float)(x_BF)
            if self.normalize:
                x_BF = nn.LayerNorm(param_dtype=float)(x_BF)
            x_BF = self.activation(x_BF)
        x_BF = nn.Dense(math.prod(self.shape), param_dtype=float)(x_BF)
        return x_BF.reshape(-1, *self.shape)


class Conv(nn.Module):
    """A small map of features whose height and width each layer doubles, up to the picture.

    A layer makes four channels of each that it has to give, and lays them out as 2 × 2 places: the
    sub-pixel convolution of Shi et al. 2016, of which a transposed one with stride 2 is a case.
    """

    sizes: tuple[int, ...]  # channels, from the smallest map on
    activation: Activation
    normalize: bool
    shape: tuple[int, ...]  # of a picture [H, W, C]

    @nn.compact
    def __call__(self, z_BZ: jax.Array) -> jax.Array:
        """[B, H, W, C]."""
        sides = [
            [map_side(side, self.sizes[layer:]) for side in self.shape[:2]]
            for layer in range(len(self.sizes) + 1)
        ]
        first = (*sides[0], self.sizes[0])
        x_BHWC = nn.Dense(math.prod(first), param_dtype=float)(z_BZ).reshape(-1, *first)
        for layer, size in enumerate((*self.sizes[1:], self.shape[2])):
            if self.normalize:
                x_BHWC = GroupNorm()(x_BHWC)
            conv = nn.Conv(4 * size, (3, 3), param_dtype=float, conv_general_dilated=by_patches)
            high, wide = sides[layer + 1]
            x_BHWC = laid_out(conv(self.activation(x_BHWC)))[:, :high, :wide]
        return x_BHWC


def laid_out(x_BHWC: jax.Array) -> jax.Array:
    """[B, H, W, 4 C] -> [B, 2 H, 2 W, C]: the four channels of each place as 2 × 2 places."""
    rows, high, wide, channels = x_BHWC.shape
    split = x_BHWC.reshape(rows, high, wide, 2, 2, channels // 4)
    return split.transpose(0, 1, 3, 2, 4, 5).reshape(rows, 2 * high, 2 * wide, channels // 4)


class Steps(nn.Module):
    """A recurrent stack that reads the vector at every step, and begins from it."""

    options: RecurrentOptions
    shape: tuple[int, ...]  # of a sequence [T, E]

    @nn.compact
    def __call__(self, z_BZ: jax.Array) -> jax.Array:
        """[B, T, E]."""
        recurrent = Recurrent(self.options)
        carry = jax.tree.map(
            lambda zeros_BD: jnp.tanh(nn.Dense(zeros_BD.shape[-1], param_dtype=float)(z_BZ)),
            recurrent.initial_carry(z_BZ.shape[0]),
        )
        z_BTZ = jnp.broadcast_to(z_BZ[:, None], (z_BZ.shape[0], self.shape[0], z_BZ.shape[1]))
        _, h_BTD = recurrent(z_BTZ, carry)
        return nn.Dense(self.shape[1], param_dtype=float)(h_BTD)
