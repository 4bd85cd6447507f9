"""Autoencoder: an example is compressed to a few numbers, and made again from them."""

import dataclasses
from typing import Any

import flax.linen as nn
import jax

from seqgen import networks
from seqgen.networks import NetworkOptions


@dataclasses.dataclass(frozen=True)
class Options(NetworkOptions):
    """Without sizes both networks are linear: then it finds the principal subspace of the data."""


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data that are no numbers, and for a latent vector as wide as they."""
    shape = networks.check(options, spec)
    networks.refuse_wide(options.latent_size, shape, spec)
    return Autoencoder(options, shape)


class Autoencoder(nn.Module):
    options: Options
    shape: tuple[int, ...]

    def setup(self) -> None:
        self.encoder = networks.Encoder(self.options)
        self.latent = nn.Dense(self.options.latent_size, param_dtype=float)
        self.decoder = networks.Decoder(self.options, self.shape)

    def __call__(self, x: jax.Array, length_B: jax.Array | None = None) -> jax.Array:
        """The reconstruction [B, *event]."""
        return self.decode(self.encode(x, length_B))

    def encode(self, x: jax.Array, length_B: jax.Array | None = None) -> jax.Array:
        """The latent vector [B, Z]."""
        return self.latent(self.encoder(x, None, length_B))

    def decode(self, z_BZ: jax.Array) -> jax.Array:
        """[B, *event] of a latent vector."""
        return self.decoder(z_BZ, None)
