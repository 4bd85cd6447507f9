"""Maximum likelihood: -log p(targets | inputs), one player.

Categorical targets for each sequence or each step, many yes-or-no targets for each step, or real
targets with squared error. Streamed rows hand their recurrent carry on to the next batch without
gradient: truncated backpropagation through time (Williams & Peng 1990).
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from seqgen import decoding
from seqgen.metrics import classification, target_unit
from seqgen.metrics import likelihood as metrics
from seqgen.objectives import Batch, Clock, Measured, Memory, Objective, Params, Player


@dataclasses.dataclass(frozen=True)
class Options:
    """Nothing to choose yet: the spec of the data decides the distribution."""


def make(options: Options, model: nn.Module, spec: dict[str, Any]) -> Objective:
    """The objective of a model called as (inputs, carry, length_B, train) -> (carry, outputs)."""
    del options

    def init(key: jax.Array, batch: Batch) -> tuple[Params, Memory]:
        rows = model.initial_carry(batch["inputs"].shape[0]) if spec["streamed"] else None
        variables = model.init(key, batch["inputs"], rows, batch.get("length_B"))
        return {"model": variables["params"]}, {"rows": rows}

    def outputs(params, memory: Memory, batch: Batch, key, train: bool):
        carry = memory["rows"]
        if spec["streamed"]:
            carry = _restart(carry, batch["reset_B"])
        carry, output = model.apply(
            {"params": params},
            batch["inputs"],
            carry,
            batch.get("length_B"),
            train=train,
            rngs={"dropout": key},
        )
        rows = jax.lax.stop_gradient(carry) if spec["streamed"] else None
        return output, {"rows": rows}

    def loss(own, params: Params, memory: Memory, batch: Batch, clock: Clock):
        del params  # one player: its own parameters are all there are
        output, memory = outputs(own, memory, batch, clock[1], train=True)
        measured = _measure(spec, output, batch)
        weight_B = measured["loss"][1]
        # the step divides every sum by the loss's weight: what has another is for evaluation alone
        sums = {name: jnp.sum(value_B) for name, (value_B, w) in measured.items() if w is weight_B}
        return sums["loss"], (jnp.sum(weight_B), memory, sums)

    def measure(params: Params, memory: Memory, batch: Batch, key: jax.Array):
        output, memory = outputs(params["model"], memory, batch, key, train=False)
        measured = _measure(spec, output, batch)
        if spec["targets"]["kind"] == "category" and spec["targets"]["per"] == "sequence":
            # not in the loss: a training step divides all sums by the weight of the loss
            measured |= classification.f1(output, batch["targets"], batch["weight_B"])
        return measured, memory

    def finalize(means: dict[str, float]) -> dict[str, float]:
        return metrics.finalize(classification.finalize(means), target_unit(spec))

    return Objective(
        players=(Player("model", 1, loss),),
        init=init,
        measure=measure,
        finalize=finalize,
        reports=metrics.reported(spec),
        # where the targets are the next tokens, the model's outputs can be its inputs
        generate=partial(_generate, model) if "start" in spec else None,
    )


def _restart(carry: Any, reset_B: jax.Array) -> Any:
    """Zeroes the carry of every row that starts anew."""

    def zero(rows):
        shape = reset_B.shape + (1,) * (rows.ndim - 1)
        return jnp.where(reset_B.reshape(shape), jnp.zeros_like(rows), rows)

    return jax.tree.map(zero, carry)


def _measure(spec: dict[str, Any], output: jax.Array, batch: Batch) -> Measured:
    """Sums over each row: name -> (value_B, weight_B), what the mean is over."""
    weight_B = batch["weight_B"]
    targets = spec["targets"]
    if targets["kind"] == "real":
        error_B = metrics.squared_error(output, batch["targets"]) * weight_B
        return {"loss": (error_B, weight_B), "squared_error": (error_B, weight_B)}
    if targets["kind"] == "binary":
        return _measure_binary(output, batch)
    nats, correct = metrics.categorical(output, batch["targets"])
    if targets["per"] == "sequence":
        return {"loss": (nats * weight_B, weight_B), "accuracy": (correct * weight_B, weight_B)}
    counts_BT = _counts_BT(batch)
    weight_B = jnp.sum(counts_BT, axis=1)
    return {
        "loss": (_total(nats, counts_BT), weight_B),
        "accuracy": (jnp.sum(correct * counts_BT, axis=1), weight_B),
    }


def _measure_binary(logits_BTF: jax.Array, batch: Batch) -> Measured:
    """The mean is over steps; the accuracy is a ratio of two sums, so its weight is the second."""
    counts_BT = _counts_BT(batch)
    nats_BT = metrics.bernoulli(logits_BTF, batch["targets"])
    hits_BT, all_BT = metrics.hits_and_all(logits_BTF, batch["targets"])
    return {
        "loss": (_total(nats_BT, counts_BT), jnp.sum(counts_BT, axis=1)),
        "frame_accuracy": (_total(hits_BT, counts_BT), _total(all_BT, counts_BT)),
    }


def _total(value_BT: jax.Array, counts_BT: jax.Array) -> jax.Array:
    """Weighted sums over each row's steps. Where nothing counts there may be anything, even NaN."""
    return jnp.sum(jnp.where(counts_BT > 0, value_BT, 0.0) * counts_BT, axis=1)


def _counts_BT(batch: Batch) -> jax.Array:
    """How much each step's target counts."""
    return batch["weight_B"][:, None] * _mask_BT(batch)


def _mask_BT(batch: Batch) -> jax.Array:
    mask_BT = jnp.ones(batch["targets"].shape[:2], batch["weight_B"].dtype)
    if "length_B" in batch:
        real_BT = jnp.arange(mask_BT.shape[1])[None] < batch["length_B"][:, None]
        mask_BT = real_BT.astype(mask_BT.dtype)
    return mask_BT * batch["mask_BT"] if "mask_BT" in batch else mask_BT


def _generate(model: nn.Module, params: Params, keys_B, inputs: Batch, options) -> jax.Array:
    """Continues the prompts `inputs["tokens_BT"]` (their lengths in `inputs["length_B"]`)."""
    variables = {"params": params["model"]}
    context, carry = model.apply(variables, inputs, method="start")
    step = partial(model.apply, variables, context, method="step")
    return decoding.sample(step, carry, inputs["tokens_BT"], inputs["length_B"], keys_B, options)
