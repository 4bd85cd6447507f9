"""Generator and discriminator of an adversarial game (Goodfellow et al. 2014); networks alone.

`decoder…` are the options of the generator, `encoder…` those of the discriminator. Told the class y
of an example, the latter scores it by a projection of its features f(x) (Miyato and Koyama 2018):
    d(x, y) = w · f(x) + b + v_y · f(x)
"""

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import networks
from seqgen.networks import NetworkOptions


@dataclasses.dataclass(frozen=True)
class Options(NetworkOptions):
    latent_size: int = 64  # numbers of the noise
    activation: str = "leaky_relu"
    conditional: bool = False  # both networks are also given the class


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data that the networks can't read or make."""
    shape = networks.check(options, spec)
    classes = networks.classes(spec, options.conditional)
    return GAN(options, shape, classes, spec["inputs"]["kind"] == "image")


class GAN(nn.Module):
    options: Options
    shape: tuple[int, ...]
    classes: int | None  # where it is conditional
    bounded: bool  # the data are in [0, 1]

    def setup(self) -> None:
        self.generator = networks.Decoder(self.options, self.shape)
        self.reader = networks.Encoder(self.options)
        self.score = nn.Dense(1, param_dtype=float)
        if self.classes is not None:
            self.projection = nn.Dense(self.classes, use_bias=False, param_dtype=float)

    def __call__(self, z_BZ: jax.Array, label_B: jax.Array | None = None) -> jax.Array:
        return self.discriminate(self.generate(z_BZ, label_B), label_B)

    def generate(self, z_BZ: jax.Array, label_B: jax.Array | None = None) -> jax.Array:
        """Examples [B, *event] of noise."""
        made = self.generator(z_BZ, self._label(label_B))
        return jax.nn.sigmoid(made) if self.bounded else made

    def discriminate(self, x: jax.Array, label_B: jax.Array | None = None) -> jax.Array:
        """How much an example looks real, a logit [B]."""
        features_BF = self.reader(x, None, None)
        score_B, label_BL = self.score(features_BF)[:, 0], self._label(label_B)
        if label_BL is None:
            return score_B
        return score_B + jnp.sum(label_BL * self.projection(features_BF), axis=-1)

    def _label(self, label_B):
        """One-hot [B, L], None where the model is not conditional."""
        if self.classes is None:
            return None
        return jax.nn.one_hot(label_B, self.classes, dtype=jnp.result_type(float))
