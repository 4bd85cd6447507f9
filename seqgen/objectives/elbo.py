"""Bounds on log p(x) of a latent-variable model, one player: the ELBO and what tightens it.

With the importance weights w_k of `importance.py`, for K samples from q(z | x), `elbo` is the mean
of log w (Kingma and Welling 2014), `iwae` the log of the mean of w (Burda, Grosse and Salakhutdinov
2016), and `dreg` the same bound with the doubly-reparameterised gradient, whose noise does not
drown it as K grows (Tucker et al. 2019); for K = 1 that is the ELBO with a gradient whose noise
ceases where the posterior is exact (Roeder, Wu and Duvenaud 2017).

Free bits are those of Kingma et al. 2016, equation 15, each latent number a group of its own: what
costs nothing is a latent number's KL in the mean over the examples of a batch, or of the part of it
that is computed together. An example may use a number more, if others use it less.
"""

import dataclasses
import math
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from seqgen import decoding, densities
from seqgen.errors import UsageError, not_among, out_of_range
from seqgen.metrics import Meaning
from seqgen.objectives import Batch, Clock, Memory, Objective, Params, Player, draws, example_keys
from seqgen.objectives.importance import (
    Posterior,
    log_likelihood,
    log_mean,
    log_weights,
    sampled,
)

BOUNDS = ("elbo", "iwae", "dreg")
BINARIZATIONS = ("dynamic", "fixed")
REPORTS = {
    "loss": Meaning("nats", larger_is_better=False),  # minus the bound that is trained
    "elbo": Meaning("nats", larger_is_better=True),
    "reconstruction": Meaning("nats", larger_is_better=False),  # -E log p(x | z)
    "kl": Meaning("nats", larger_is_better=False),
}
# of tokens: minus the ELBO is at least minus the log-likelihood
OF_TOKENS = {
    "nats_per_token": Meaning("nats", larger_is_better=False),
    "perplexity_bound": Meaning("", larger_is_better=False),
}


@dataclasses.dataclass(frozen=True)
class Options:
    bound: str = "elbo"  # elbo, iwae, dreg
    samples: int = 1  # K, of q(z | x) for each example
    # weight of the KL (Higgins et al. 2017), or of log p(z) / q(z | x): at 1 alone it is a bound
    beta: float = 1.0
    warmup_steps: int | None = None  # over which that weight grows from 0 (Bowman et al. 2016)
    free_bits: float | None = None  # nats of each latent number's mean KL that cost nothing
    binarization: str | None = None  # of pictures: dynamic, drawn each time; fixed, once an example
    evaluation_samples: int = 5000  # K of the log-likelihood that a checkpoint is evaluated by

    def problems(self) -> Iterator[str]:
        yield from not_among(self, "objective.", bound=BOUNDS, binarization=BINARIZATIONS)
        yield from out_of_range(
            self,
            "objective.",
            samples="[1, inf)",
            evaluation_samples="[1, inf)",
            beta="[0, inf)",
            warmup_steps="[1, inf)",
            free_bits="(0, inf)",
        )
        if self.bound != "elbo" and self.free_bits is not None:
            yield (
                "objective.free_bits is of the KL of objective.bound=elbo; "
                f"{self.bound} has none of its own"
            )


class Task(NamedTuple):
    """What the functions of the objective are about."""

    options: Options
    model: nn.Module
    of_tokens: bool


def make(options: Options, model: nn.Module, spec: dict[str, Any]) -> Objective:
    """The objective of a model with `encode` and `log_likelihood`, both told whether they `train`.

    It makes examples by `decode`, as `vae` does, or, if it has that, token by token with `step`.
    """
    if not hasattr(model, "log_likelihood"):
        raise UsageError(
            "objective elbo needs a model with a likelihood of its input: vae, sequence_vae"
        )
    if options.binarization is not None and spec["inputs"]["kind"] != "image":
        raise UsageError(
            f"objective.binarization is for pictures; dataset {spec['dataset']} has "
            f"{spec['inputs']['kind']} inputs"
        )
    task = Task(options, model, of_tokens=spec["inputs"]["kind"] == "token")
    return Objective(
        players=(Player("model", 1, partial(_loss, task)),),
        init=partial(_init, model),
        measure=partial(_measure, task),
        finalize=_finalize if task.of_tokens else dict,
        reports=REPORTS | OF_TOKENS if task.of_tokens else REPORTS,
        generate=partial(_generate, model),
    )


def _init(model: nn.Module, key: jax.Array, batch: Batch) -> tuple[Params, Memory]:
    label_B = jnp.zeros(len(batch["inputs"]), jnp.int32)  # of any class
    variables = model.init(key, batch["inputs"], label_B)
    return {"model": variables["params"]}, {"rows": None, "shared": None}


def _loss(task: Task, own, params: Params, memory: Memory, batch: Batch, clock: Clock):
    del params  # one player: its own parameters are all there are
    options, model, (step, key) = task.options, task.model, clock
    key_bits, key_z, key_network = jax.random.split(key, 3)
    if options.binarization == "dynamic":
        batch = batch | {"inputs": drawn(key_bits, batch["inputs"])}
    elif options.binarization == "fixed":
        batch = batch | {"inputs": fixed_bits(batch)}
    shape = (options.samples, len(batch["weight_B"]), model.options.latent_size)
    how = {"train": True, "rngs": draws(key_network)}
    posterior = sampled(model, own, batch, jax.random.normal(key_z, shape), **how)
    weight = _weight(options, step)
    bound_B, terms = _bound(options, model, own, batch, posterior, weight, **how)
    weight_B = batch["weight_B"]
    sums = {name: jnp.sum(x_B * weight_B) for name, x_B in terms.items()}
    sums["loss"] = -jnp.sum(bound_B * weight_B)
    return sums["loss"], (jnp.sum(weight_B), memory, sums)


def _measure(task: Task, params: Params, memory: Memory, batch: Batch, key: jax.Array):
    del key  # what an example is given depends on its number alone, not on its batch
    options, model, weight_B = task.options, task.model, batch["weight_B"]
    if options.binarization is not None:
        batch = batch | {"inputs": fixed_bits(batch)}
    size = (options.samples, model.options.latent_size)
    posterior = sampled(model, params["model"], batch, noise(batch, 0, size))
    # what is measured is no gradient, so dreg's rule for it would only stand in the way of others
    bound = "iwae" if options.bound == "dreg" else options.bound
    whole = dataclasses.replace(options, beta=1.0, free_bits=None, bound=bound)
    bound_B, terms = _bound(whole, model, params["model"], batch, posterior, 1.0)
    elbo_B = -terms["reconstruction"] - terms["kl"]
    terms |= {"loss": -bound_B, "elbo": elbo_B}
    measured = {name: (x_B * weight_B, weight_B) for name, x_B in terms.items()}
    if task.of_tokens:
        measured["nats_per_token"] = (-elbo_B * weight_B, batch["length_B"] * weight_B)
    return measured, memory


def _finalize(means: dict[str, float]) -> dict[str, float]:
    """Of tokens."""
    return means | {"perplexity_bound": math.exp(min(means["nats_per_token"], 700.0))}


def _bound(options, model, params, batch, posterior: Posterior, kl_weight, **how):
    """(the bound [B] that is trained, the ELBO's terms)."""
    kl_BZ = densities.kl_from_standard_normal(posterior.mean, posterior.log_variance)
    if options.bound == "dreg":
        bound_B, log_p_x_KB = _doubly_reparameterised(
            model, params, batch, posterior, kl_weight, **how
        )
    elif options.bound == "iwae":
        log_w_KB, log_p_x_KB = log_weights(model, params, batch, posterior, kl_weight, **how)
        bound_B = log_mean(log_w_KB)
    else:
        log_p_x_KB = log_likelihood(model, params, batch, posterior.z, **how)
        # the KL in closed form, which has less noise than the samples' own
        cost_B = jnp.sum(kl_BZ, axis=1)
        if options.free_bits is not None:
            cost_B = jnp.full_like(cost_B, _free(options.free_bits, kl_BZ, batch["weight_B"]))
        bound_B = jnp.mean(log_p_x_KB, axis=0) - kl_weight * cost_B
    terms = {
        "reconstruction": -jnp.mean(log_p_x_KB, axis=0),
        "kl": jnp.sum(kl_BZ, axis=1),
    }
    return bound_B, terms


def _free(free_bits: float, kl_BZ: jax.Array, weight_B: jax.Array) -> jax.Array:
    """What the KL costs an example in the mean: each latent number's is free up to `free_bits`."""
    mean_Z = weight_B @ kl_BZ / jnp.maximum(jnp.sum(weight_B), 1)
    return jnp.sum(jnp.maximum(mean_Z, free_bits))


def _doubly_reparameterised(model, params, batch, posterior, kl_weight, **how):
    """(the IWAE bound [B], log p(x | z_k)), whose gradient is Tucker et al. 2019, equation 8.

    The decoder's is that of IWAE: the mean of grad log w_k under the normalised weights v_k. The
    encoder's goes through the samples alone, and weighs them by v_k^2; where the KL weighs b, the
    same steps lead to (1 - b) v_k + b v_k^2.
    """
    frozen = jax.lax.stop_gradient(posterior)

    def log_weights_of(params, z_KBZ):
        return log_weights(model, params, batch, frozen._replace(z=z_KBZ), kl_weight, **how)

    @jax.custom_vjp
    def bound(params, z_KBZ):
        log_w_KB, log_p_x_KB = log_weights_of(params, z_KBZ)
        return log_mean(log_w_KB), log_p_x_KB

    def forward(params, z_KBZ):
        log_w_KB, pull, log_p_x_KB = jax.vjp(log_weights_of, params, z_KBZ, has_aux=True)
        share_KB = jax.nn.softmax(log_w_KB, axis=0)
        again_KB = 1 - kl_weight + kl_weight * share_KB
        return (log_mean(log_w_KB), log_p_x_KB), (pull, share_KB, again_KB)

    def backward(kept, slopes):
        pull, share_KB, again_KB = kept
        slope_B, _ = slopes  # the second output is looked at, never trained
        of_params, of_z_KBZ = pull(slope_B[None] * share_KB)
        return of_params, again_KB[:, :, None] * of_z_KBZ  # which has v_k once

    bound.defvjp(forward, backward)
    return bound(params, posterior.z)


def _weight(options: Options, step: jax.Array) -> jax.Array | float:
    """Of the KL, by the clock."""
    if options.warmup_steps is None:
        return options.beta
    return options.beta * jnp.minimum(step / options.warmup_steps, 1.0)


def drawn(key: jax.Array, x: jax.Array) -> jax.Array:
    """Bits that are 1 with the probabilities x."""
    return jax.random.bernoulli(key, x).astype(x.dtype)


def fixed_bits(batch: Batch) -> jax.Array:
    """The same bits of an example, whenever it comes."""
    return jax.vmap(drawn)(example_keys(batch, 0), batch["inputs"])


def noise(batch: Batch, number: int | jax.Array, size: tuple[int, int]) -> jax.Array:
    """The `number`-th standard normal noise of each example, [K, B, Z] for a size (K, Z)."""
    draw = partial(jax.random.normal, shape=size)
    return jax.vmap(draw, out_axes=1)(example_keys(batch, 1 + number))


def _generate(
    model: nn.Module, params: Params, memory: Memory, keys_B, inputs: Batch, options
) -> jax.Array:
    """New examples, of a z of the prior each: numbers [B, *event], or tokens [B, length].

    Of numbers it is the mean of p(x | z), and `temperature` scales the prior; tokens are drawn as
    the options say. inputs: "targets" [B], the classes to make where the model is conditional.
    """
    del memory
    draw = partial(jax.random.normal, shape=(model.options.latent_size,))
    if hasattr(model, "step"):
        keys_B2 = jax.vmap(jax.random.split)(keys_B)
        return written(model, params, jax.vmap(draw)(keys_B2[:, 0]), keys_B2[:, 1], options)
    z_BZ = options.temperature * jax.vmap(draw)(keys_B)
    return model.apply({"params": params["model"]}, z_BZ, inputs.get("targets"), method="decode")


def written(model: nn.Module, params: Params, z_BZ: jax.Array, keys_B, options) -> jax.Array:
    """Tokens [B, length] of sentences with these latent vectors, 0 from their ends on."""
    variables = {"params": params["model"]}
    context, carry = model.apply(variables, {"z": z_BZ}, method="start")
    step = partial(model.apply, variables, context, method="step")
    begin_B1 = jnp.zeros((len(z_BZ), 1), jnp.int32)
    ones_B = jnp.ones(len(z_BZ), jnp.int32)
    return decoding.sample(step, carry, begin_B1, ones_B, keys_B, options, end=0)[:, 1:]
