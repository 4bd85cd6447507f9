"""Maximum likelihood: -log p(targets | inputs), one player.

Categorical targets for each sequence or each step, many yes-or-no targets for each step, real
targets with squared error, or answers: sequences of tokens of their own, written one after the
other. Streamed rows hand their recurrent carry on to the next batch without gradient: truncated
backpropagation through time (Williams & Peng 1990).
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from seqgen import decoding
from seqgen.errors import UsageError, out_of_range
from seqgen.metrics import Measured, answers, classification, target_unit
from seqgen.metrics import likelihood as metrics
from seqgen.objectives import Batch, Clock, Memory, Objective, Params, Player, draws, vanishing


@dataclasses.dataclass(frozen=True)
class Options:
    """The spec of the data decides the distribution."""

    label_smoothing: float | None = None  # share of a target's mass given to all classes alike

    # share of the tokens that a decoder of answers reads which are its own draws, not the answer's
    scheduled_sampling: float | None = None
    scheduled_sampling_steps: int = 1000  # over which that share grows from 0

    # times Ω of Pascanu et al. 2013, a sum over steps: gradients neither vanish nor grow on the way
    vanishing_penalty: float | None = None

    def problems(self) -> Iterator[str]:
        return out_of_range(
            self,
            "objective.",
            label_smoothing="[0, 1)",
            scheduled_sampling="[0, 1]",
            scheduled_sampling_steps="[1, inf)",
            vanishing_penalty="(0, inf)",
        )


class Task(NamedTuple):
    """What the functions of the objective are about."""

    options: Options
    model: nn.Module
    spec: dict[str, Any]

    @property
    def answering(self) -> bool:
        return self.spec["targets"]["per"] == "answer"


def make(options: Options, model: nn.Module, spec: dict[str, Any]) -> Objective:
    """The objective of a model called as (inputs, carry, length_B, train) -> (carry, outputs).

    A model that answers is also given the `targets`, of which it reads those before each step.
    """
    task = Task(options, model, spec)
    _check(task)
    # where the targets are the next tokens, the model's outputs can be its inputs
    continues = partial(_generate, model) if "start" in spec else None
    return Objective(
        players=(Player("model", 1, partial(_loss, task)),),
        init=partial(_init, task),
        measure=partial(_measure_all, task),
        finalize=partial(_finalize, spec),
        reports=metrics.reported(spec) | (answers.reported(spec) if task.answering else {}),
        generate=partial(_answer, model) if task.answering else continues,
    )


def _check(task: Task) -> None:
    """Raises UsageError for options that do not fit model and data."""
    options, targets = task.options, task.spec["targets"]
    if options.scheduled_sampling is not None and not task.answering:
        raise UsageError(
            "objective.scheduled_sampling is for answers; dataset "
            f"{task.spec['dataset']} has a target per {targets['per']}"
        )
    if options.label_smoothing is not None and targets["kind"] != "category":
        raise UsageError(
            "objective.label_smoothing is for targets of one class among several; dataset "
            f"{task.spec['dataset']} has {targets['kind']} targets"
        )
    if options.vanishing_penalty is not None:
        vanishing.check(task.model, targets["per"])


def _init(task: Task, key: jax.Array, batch: Batch) -> tuple[Params, Memory]:
    inputs, length_B = batch["inputs"], batch.get("length_B")
    rows = task.model.initial_carry(inputs.shape[0]) if task.spec["streamed"] else None
    variables = task.model.init(key, inputs, rows, length_B, **_given(task, batch))
    return {"model": variables["params"]}, {"rows": rows, "shared": None}


def _loss(task: Task, own, params: Params, memory: Memory, batch: Batch, clock: Clock):
    del params  # one player: its own parameters are all there are
    penalty = task.options.vanishing_penalty
    total, (weight, after, sums) = _nats(task, own, memory, batch, clock)
    if penalty is not None:
        nats = lambda own: _nats(task, own, memory, batch, clock)[0]  # noqa: E731
        omega_B = vanishing.penalty_B(task.model, nats, own)
        sums["vanishing_penalty"] = jnp.sum(omega_B * batch["weight_B"])
        total += penalty * sums["vanishing_penalty"]
    return total, (weight, after, sums)


def _nats(task: Task, own, memory: Memory, batch: Batch, clock: Clock):
    """The loss but for the penalty, in training."""
    how = _sampled(task.options, clock[0])
    output, memory = _outputs(task, own, memory, batch, clock[1], train=True, **how)
    measured = _measure(task.spec, output, batch, task.options.label_smoothing)
    weight_B = measured["loss"][1]
    # the step divides every sum by the loss's weight: what has another is for evaluation alone
    sums = {name: jnp.sum(value_B) for name, (value_B, w) in measured.items() if w is weight_B}
    return sums["loss"], (jnp.sum(weight_B), memory, sums)


def _measure_all(task: Task, params: Params, memory: Memory, batch: Batch, key: jax.Array):
    output, memory = _outputs(task, params["model"], memory, batch, key)
    measured, targets = _measure(task.spec, output, batch, None), task.spec["targets"]
    if task.answering:
        answer = partial(_answer, task.model, params, memory)
        measured |= _measure_answers(task.spec, answer, batch)
    if targets["kind"] == "category" and targets["per"] == "sequence":
        # not in the loss: a training step divides all sums by the weight of the loss
        measured |= classification.f1(output, batch["targets"], batch["weight_B"])
    return measured, memory


def _finalize(spec: dict[str, Any], means: dict[str, float]) -> dict[str, float]:
    whole = answers.finalize(classification.finalize(means), answers.references(spec))
    return metrics.finalize(whole, target_unit(spec))


def _outputs(task: Task, params, memory: Memory, batch: Batch, key: jax.Array, **how: Any):
    """(what the model makes of the inputs, the memory after them)."""
    carry, streamed = memory["rows"], task.spec["streamed"]
    if streamed:
        carry = _restart(carry, batch["reset_B"])
    carry, output = task.model.apply(
        {"params": params},
        batch["inputs"],
        carry,
        batch.get("length_B"),
        **_given(task, batch),
        **how,
        rngs=draws(key),
    )
    return output, memory | {"rows": jax.lax.stop_gradient(carry) if streamed else None}


def _given(task: Task, batch: Batch) -> dict[str, jax.Array]:
    return {"targets": batch["targets"]} if task.answering else {}


def _sampled(options: Options, step: jax.Array) -> dict[str, jax.Array]:
    """Scheduled sampling by the clock."""
    if options.scheduled_sampling is None:
        return {}
    grown = jnp.minimum(step / options.scheduled_sampling_steps, 1.0)
    return {"own_share": options.scheduled_sampling * grown}


def _restart(carry: Any, reset_B: jax.Array) -> Any:
    """Zeroes the carry of every row that starts anew."""

    def zero(rows):
        shape = reset_B.shape + (1,) * (rows.ndim - 1)
        return jnp.where(reset_B.reshape(shape), jnp.zeros_like(rows), rows)

    return jax.tree.map(zero, carry)


def _measure(
    spec: dict[str, Any], output: jax.Array, batch: Batch, smoothing: float | None
) -> Measured:
    """Sums over each row: name -> (value_B, weight_B), what the mean is over."""
    weight_B = batch["weight_B"]
    targets = spec["targets"]
    if targets["kind"] == "real":
        error_B = metrics.squared_error(output, batch["targets"]) * weight_B
        return {"loss": (error_B, weight_B), "squared_error": (error_B, weight_B)}
    if targets["kind"] == "binary":
        return _measure_binary(output, batch)
    nats, correct = metrics.categorical(output, batch["targets"], smoothing)
    if targets["per"] == "sequence":
        return {"loss": (nats * weight_B, weight_B), "accuracy": (correct * weight_B, weight_B)}
    if targets["per"] == "answer":  # or several, one after the other
        real_BT, nats, correct = (
            x.reshape(len(weight_B), -1) for x in (answers.real(batch["targets"]), nats, correct)
        )
        counts_BT = weight_B[:, None] * real_BT
    else:
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


def _generate(
    model: nn.Module, params: Params, memory: Memory, keys_B, inputs: Batch, options
) -> jax.Array:
    """Continues the prompts `inputs["tokens_BT"]` (their lengths in `inputs["length_B"]`)."""
    del memory
    variables = {"params": params["model"]}
    context, carry = model.apply(variables, inputs, method="start")
    step = partial(model.apply, variables, context, method="step")
    return decoding.sample(step, carry, inputs["tokens_BT"], inputs["length_B"], keys_B, options)


def _answer(model: nn.Module, params: Params, memory: Memory, keys_B, inputs: Batch, options):
    """Answers to inputs [B, S]: tokens [B, length].

    By beam search tokens [B, beam, length] and their log-likelihoods [B, beam] in nats.
    """
    del memory
    variables = {"params": params["model"]}
    context, carry = model.apply(variables, inputs, method="start")
    if options.beam is not None:
        repeated = partial(jnp.repeat, repeats=options.beam, axis=0)
        context, carry = jax.tree.map(repeated, (context, carry))  # read once for all candidates
    step = partial(model.apply, variables, context, method="step")
    first_B = jnp.zeros(keys_B.shape, jnp.int32)
    if options.beam is not None:
        return decoding.beam(step, carry, first_B, 0, options)
    ones_B = jnp.ones_like(first_B)
    tokens_BT = decoding.sample(step, carry, first_B[:, None], ones_B, keys_B, options, end=0)
    return tokens_BT[:, 1:]


def _measure_answers(spec: dict[str, Any], answer, batch: Batch) -> Measured:
    """How the greedy answers compare with the targets."""
    weight_B, longest = batch["weight_B"], spec["targets"]["length"]
    inputs = {name: batch[name] for name in ("inputs", "length_B") if name in batch}
    greedy = decoding.Options(length=longest, temperature=0.0)
    keys_B = jax.random.split(jax.random.key(0), len(weight_B))  # greedy: of no effect
    targets_BKR = answers.padded(batch["targets"], longest)
    measured = answers.measured(answer(keys_B, inputs, greedy), targets_BKR, spec)
    return {name: (v_B * weight_B, w_B * weight_B) for name, (v_B, w_B) in measured.items()}
