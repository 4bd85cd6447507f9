"""An autoencoder's squared error ½ |x - x'|², one player.

With noise on what it reads it has to tell what is example and what is noise: denoising. Nothing of
the error says which latent vectors there are; to make new examples the normal distribution of
their moments is drawn from (Ghosh et al. 2020, "ex-post density estimation"). The moments are those
of the encoder as it trains, over its last batches, also where averaged weights are evaluated.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from seqgen import densities
from seqgen.errors import UsageError, out_of_range
from seqgen.metrics import Meaning, Measured
from seqgen.objectives import Batch, Clock, Memory, Objective, Params, Player

KEPT = 0.99  # share of the moments of the latent vectors that a further batch leaves


class Codes(NamedTuple):
    """Moments of the latent vectors of the last batches, each times the weight of all of them."""

    weight: jax.Array
    mean: jax.Array  # [Z]
    second: jax.Array  # of z zᵀ, [Z, Z]


@dataclasses.dataclass(frozen=True)
class Options:
    noise: float | None = None  # deviation of what is added to the input in training (Vincent 2008)

    def problems(self) -> Iterator[str]:
        return out_of_range(self, "objective.", noise="(0, inf)")


def make(options: Options, model: nn.Module, spec: dict[str, Any]) -> Objective:
    """The objective of a model with `encode` and `decode`."""
    if not (hasattr(model, "encode") and hasattr(model, "decode")):
        raise UsageError("objective reconstruction needs a model that makes its input: autoencoder")
    del spec

    def init(key: jax.Array, batch: Batch) -> tuple[Params, Memory]:
        variables = model.init(key, batch["inputs"], batch.get("length_B"))
        size = model.options.latent_size
        none = Codes(*(jnp.zeros(shape) for shape in ((), (size,), (size, size))))
        return {"model": variables["params"]}, {"rows": None, "shared": none}

    def error(params, batch: Batch, read: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(half the squared error [B], the latent vectors [B, Z])."""
        variables = {"params": params}
        z_BZ = model.apply(variables, read, batch.get("length_B"), method="encode")
        made = model.apply(variables, z_BZ, method="decode")
        return 0.5 * densities.total(real(batch, (batch["inputs"] - made) ** 2)), z_BZ

    def loss(own, params: Params, memory: Memory, batch: Batch, clock: Clock):
        del params
        read = batch["inputs"]
        if options.noise is not None:
            read = read + options.noise * jax.random.normal(clock[1], read.shape, read.dtype)
        half_B, z_BZ = error(own, batch, read)
        if options.noise is not None:  # what is to be made is no denoised example
            _, z_BZ = error(own, batch, batch["inputs"])
        total = jnp.sum(half_B * batch["weight_B"])
        seen = after(memory["shared"], jax.lax.stop_gradient(z_BZ))
        return total, (jnp.sum(batch["weight_B"]), memory | {"shared": seen}, {"loss": total})

    def measure(params: Params, memory: Memory, batch: Batch, key: jax.Array):
        del key
        weight_B = batch["weight_B"]
        half_B, _ = error(params["model"], batch, batch["inputs"])
        measured: Measured = {"loss": (half_B * weight_B, weight_B)}
        return measured, memory

    return Objective(
        players=(Player("model", 1, loss),),
        init=init,
        measure=measure,
        finalize=dict,
        reports={"loss": Meaning("", larger_is_better=False)},
        generate=partial(_generate, model),
    )


def after(codes: Codes, z_BZ: jax.Array) -> Codes:
    """The moments once a batch of training is in them."""
    now = Codes(jnp.ones(()), jnp.mean(z_BZ, axis=0), z_BZ.T @ z_BZ / len(z_BZ))
    return jax.tree.map(lambda old, new: KEPT * old + (1 - KEPT) * new, codes, now)


def _generate(
    model: nn.Module, params: Params, memory: Memory, keys_B, inputs: Batch, options
) -> jax.Array:
    """Decoded from the normal distribution of the latent vectors' mean and covariance, [B, *event].

    `temperature` scales its deviations.
    """
    del inputs
    seen = memory["shared"]
    mean_Z, second_ZZ = seen.mean / seen.weight, seen.second / seen.weight
    variance_Z, axes_ZZ = jnp.linalg.eigh(second_ZZ - jnp.outer(mean_Z, mean_Z))
    draw = partial(jax.random.normal, shape=mean_Z.shape)
    # latent numbers that depend on others leave variances of 0, give or take the rounding
    deviation_Z = options.temperature * jnp.sqrt(jnp.maximum(variance_Z, 0.0))
    z_BZ = mean_Z[None] + (jax.vmap(draw)(keys_B) * deviation_Z[None]) @ axes_ZZ.T
    return model.apply({"params": params["model"]}, z_BZ, method="decode")


def real(batch: Batch, x: jax.Array) -> jax.Array:
    """Numbers [B, *event], zero past the end of a sequence."""
    if "length_B" not in batch:
        return x
    real_BT = jnp.arange(x.shape[1])[None] < batch["length_B"][:, None]
    return jnp.where(real_BT[..., None], x, 0.0)
