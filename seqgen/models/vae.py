"""Variational autoencoder (Kingma and Welling 2014): q(z | x), and p(x | z) under a normal prior.

The model has the distributions; `objectives/elbo.py` has the bounds.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import densities, networks
from seqgen.errors import UsageError, not_among, out_of_range
from seqgen.networks import NetworkOptions

LIKELIHOODS = ("bernoulli", "gaussian", "categorical")
VARIANCES = ("fixed", "calibrated", "learned")
# The one variance of all numbers must follow the error of their reconstruction closely, at steps
# that are right for weights: too wide, it lets the latent vector go unused.
GAIN = 10.0
WIDEST = 15.0  # log-variances stay within this, whatever the input: exp of them is finite


@dataclasses.dataclass(frozen=True)
class Options(NetworkOptions):
    likelihood: str = "bernoulli"  # of bits, of real numbers (gaussian), of levels (categorical)
    variance: str = "calibrated"  # gaussian: fixed; calibrated: one that is learned (Rybkin et al.
    # 2021); learned: for each number from z
    fixed_variance: float = 1.0  # of a gaussian with variance=fixed
    levels: int = 16  # categorical: numbers in [0, 1] are rounded to so many
    conditional: bool = False  # both networks are also given the class

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from not_among(self, "model.", likelihood=LIKELIHOODS, variance=VARIANCES)
        yield from out_of_range(self, "model.", fixed_variance="(0, inf)", levels="[2, inf)")


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data that do not fit the networks or the likelihood."""
    shape = networks.check(options, spec)
    networks.refuse_wide(options.latent_size, shape, spec)
    if options.likelihood != "gaussian" and spec["inputs"]["kind"] != "image":
        raise UsageError(
            f"model.likelihood={options.likelihood} is for numbers in [0, 1], pictures; dataset "
            f"{spec['dataset']} has {spec['inputs']['kind']} inputs: use gaussian"
        )
    classes = networks.classes(spec, options.conditional)
    return VAE(options, shape, classes)


class VAE(nn.Module):
    """x, z and everything else have the batch axis first; several samples are further rows."""

    options: Options
    shape: tuple[int, ...]
    classes: int | None  # where it is conditional

    def setup(self) -> None:
        o = self.options
        self.encoder = networks.Encoder(o)
        self.mean = nn.Dense(o.latent_size, param_dtype=float)
        self.log_variance = nn.Dense(
            o.latent_size, param_dtype=float, kernel_init=nn.initializers.zeros
        )
        per_number = {"categorical": o.levels, "bernoulli": 1}.get(o.likelihood)
        if per_number is None:
            per_number = 2 if o.variance == "learned" else 1
        self.decoder = networks.Decoder(o, (*self.shape[:-1], self.shape[-1] * per_number))
        if o.likelihood == "gaussian" and o.variance == "calibrated":
            start = nn.initializers.constant(-2.5 / GAIN)
            self.calibrated = self.param("log_variance_of_x", start, (), float)

    def __call__(self, x: jax.Array, label_B: jax.Array | None = None) -> jax.Array:
        """log p(x | z) at the mean of q(z | x), [B]: touches every parameter."""
        mean_BZ, _ = self.encode(x, label_B)
        return self.log_likelihood(x, mean_BZ, label_B)

    def encode(
        self,
        x: jax.Array,
        label_B: jax.Array | None = None,
        length_B: jax.Array | None = None,
        train: bool = False,
    ) -> tuple[jax.Array, jax.Array]:
        """(mean, log-variance) of q(z | x), both [B, Z]."""
        del train  # these networks draw nothing
        networks.refuse_lengths(length_B, "vae")
        features_BF = self.encoder(x, self._label(label_B), None)
        return self.mean(features_BF), bounded(self.log_variance(features_BF))

    def decode(self, z_BZ: jax.Array, label_B: jax.Array | None = None) -> jax.Array:
        """The mean of p(x | z), [B, *event]."""
        output = self._parameters(z_BZ, label_B)
        likelihood, levels = self.options.likelihood, self.options.levels
        if likelihood == "bernoulli":
            return jax.nn.sigmoid(output)
        if likelihood == "categorical":
            value_V = jnp.arange(levels, dtype=output.dtype) / (levels - 1)
            return jax.nn.softmax(output, axis=-1) @ value_V
        return output[0]

    def log_likelihood(
        self,
        x: jax.Array,
        z_BZ: jax.Array,
        label_B: jax.Array | None = None,
        train: bool = False,
    ) -> jax.Array:
        """log p(x | z) in nats, summed over the event, [B]."""
        del train
        output = self._parameters(z_BZ, label_B)
        likelihood = self.options.likelihood
        if likelihood == "bernoulli":
            return densities.log_bernoulli(x, output)
        if likelihood == "categorical":
            return densities.log_categorical(jnp.round(x * (self.options.levels - 1)), output)
        return densities.log_normal(x, *output)

    def _parameters(self, z_BZ, label_B):
        """Logits [B, *event] or [B, *event, V], or a pair of mean and log-variance."""
        o, output = self.options, self.decoder(z_BZ, self._label(label_B))
        if o.likelihood == "bernoulli":
            return output
        split = output.reshape(-1, *self.shape, output.shape[-1] // self.shape[-1])
        if o.likelihood == "categorical":
            return split
        if o.variance == "learned":
            return split[..., 0], bounded(split[..., 1])
        fixed = jnp.log(o.fixed_variance)
        log_variance = bounded(GAIN * self.calibrated) if o.variance == "calibrated" else fixed
        return output, jnp.full(output.shape, log_variance)

    def _label(self, label_B):
        """One-hot [B, L], None where the model is not conditional."""
        if self.classes is None:
            return None
        return jax.nn.one_hot(label_B, self.classes, dtype=jnp.result_type(float))


def bounded(log_variance: jax.Array) -> jax.Array:
    """Close to itself where it is small, and within ± WIDEST wherever, so that exp is finite."""
    return WIDEST * jnp.tanh(log_variance / WIDEST)
