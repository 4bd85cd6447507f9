"""An autoencoder's squared error ½ |x - x'|², one player.

With noise on what it reads it has to tell what is example and what is noise: denoising.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from seqgen import densities
from seqgen.errors import UsageError, out_of_range
from seqgen.metrics import Meaning, Measured
from seqgen.objectives import Batch, Clock, Memory, Objective, Params, Player


@dataclasses.dataclass(frozen=True)
class Options:
    noise: float | None = None  # deviation of what is added to the input in training (Vincent 2008)

    def problems(self) -> Iterator[str]:
        return out_of_range(self, "objective.", noise="(0, inf)")


def make(options: Options, model: nn.Module, spec: dict[str, Any]) -> Objective:
    """The objective of a model with `encode` and `decode`.

    It can't generate: nothing says which latent vectors there are.
    """
    if not (hasattr(model, "encode") and hasattr(model, "decode")):
        raise UsageError("objective reconstruction needs a model that makes its input: autoencoder")
    del spec

    def init(key: jax.Array, batch: Batch) -> tuple[Params, Memory]:
        variables = model.init(key, batch["inputs"], batch.get("length_B"))
        return {"model": variables["params"]}, {"rows": None}

    def error_B(params, batch: Batch, read: jax.Array) -> jax.Array:
        made = model.apply({"params": params}, read, batch.get("length_B"))
        return 0.5 * densities.total(real(batch, (batch["inputs"] - made) ** 2))

    def loss(own, params: Params, memory: Memory, batch: Batch, clock: Clock):
        del params
        read = batch["inputs"]
        if options.noise is not None:
            read = read + options.noise * jax.random.normal(clock[1], read.shape, read.dtype)
        total = jnp.sum(error_B(own, batch, read) * batch["weight_B"])
        return total, (jnp.sum(batch["weight_B"]), memory, {"loss": total})

    def measure(params: Params, memory: Memory, batch: Batch, key: jax.Array):
        del key
        weight_B = batch["weight_B"]
        half_B = error_B(params["model"], batch, batch["inputs"])
        measured: Measured = {"loss": (half_B * weight_B, weight_B)}
        return measured, memory

    return Objective(
        players=(Player("model", 1, loss),),
        init=init,
        measure=measure,
        finalize=dict,
        reports={"loss": Meaning("", larger_is_better=False)},
        generate=None,
    )


def real(batch: Batch, x: jax.Array) -> jax.Array:
    """Numbers [B, *event], zero past the end of a sequence."""
    if "length_B" not in batch:
        return x
    real_BT = jnp.arange(x.shape[1])[None] < batch["length_B"][:, None]
    return jnp.where(real_BT[..., None], x, 0.0)
