"""From options to one optax chain: clip, scale by the rule, decay weights, follow the schedule.

`config.py` shows the options as `config.optimizer`; `step.py` applies the two halves of the chain
to the gradients of what is not frozen, and reads their norm between the halves.
"""

import dataclasses
import itertools
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from seqgen.errors import UsageError, not_among, out_of_range


@dataclasses.dataclass(frozen=True)
class Options:
    rule: str = "adamw"  # sgd, momentum, rmsprop, adam, adamw, lion
    learning_rate: float = 1e-3  # the highest value of the schedule
    schedule: str = "constant"  # constant, step; cosine, linear: they end at schedule_steps
    warmup_steps: int | None = None  # linear from 0 to learning_rate before the schedule begins
    final_scale: float = 0.0  # cosine and linear end at final_scale * learning_rate
    decay_every: int | None = None  # step: multiply by decay_rate every so many steps
    decay_at: tuple[int, ...] = ()  # step: or when so many have been done, in increasing order
    decay_rate: float = 0.5
    plateau_patience: int | None = None  # evaluations without a new best that cut the rate
    plateau_scale: float = 0.1  # what a plateau multiplies the rate by
    beta1: float = 0.9  # momentum's and the Adam family's first decay
    beta2: float = 0.999  # second decay (rmsprop: its only one)
    epsilon: float = 1e-8
    weight_decay: float | None = None  # decoupled (adamw, lion), times the learning rate
    decay_parameters: str = r"w_|kernel|embedding"  # regular expression of the names that decay
    frozen: str | None = None  # regular expression of the names that stay as they began
    clip_norm: float | None = None  # of all gradients together (Pascanu et al. 2013)
    clip_value: float | None = None  # of each element
    clip_adaptive: float | None = None  # of each unit relative to its weights (Brock et al. 2021)

    def problems(self, prefix: str = "optimizer.") -> Iterator[str]:
        """`prefix`: what a user writes before the names of these fields."""
        yield from not_among(self, prefix, rule=RULES, schedule=SCHEDULES)
        yield from out_of_range(
            self,
            prefix,
            learning_rate="(0, inf)",
            warmup_steps="[0, inf)",
            final_scale="[0, 1]",
            decay_every="[1, inf)",
            decay_rate="(0, 1]",
            plateau_patience="[1, inf)",
            plateau_scale="(0, 1]",
            beta1="[0, 1)",
            beta2="[0, 1)",
            epsilon="[0, inf)",
            weight_decay="[0, inf)",
            clip_norm="(0, inf)",
            clip_value="(0, inf)",
            clip_adaptive="(0, inf)",
        )
        if self.schedule == "step" and (self.decay_every is None) == (not self.decay_at):
            yield f"{prefix}schedule 'step' needs either {prefix}decay_every or {prefix}decay_at"
        if any(step <= before for before, step in itertools.pairwise((0, *self.decay_at))):
            yield (
                f"{prefix}decay_at must be steps from 1 on, in increasing order, not "
                f"{self.decay_at}"
            )
        if self.weight_decay is not None and self.rule not in ("adamw", "lion"):
            yield f"{prefix}weight_decay is decoupled: rule adamw or lion, not {self.rule!r}"
        for name in ("decay_parameters", "frozen"):
            pattern = getattr(self, name)
            try:
                re.compile(pattern or "")
            except re.error as error:
                yield f"{prefix}{name} {pattern!r} is no regular expression: {error}"


# A plateau is the whole run's, which watches one number.
OF_THE_RUN = ("plateau_patience", "plateau_scale")
# What one player of several has for itself; None: as Options say for all players.
OwnOptions = dataclasses.make_dataclass(
    "OwnOptions",
    [
        (f.name, f.type | None, None)
        for f in dataclasses.fields(Options)
        if f.name not in OF_THE_RUN
    ],
    frozen=True,
)


def of_player(shared: Options, own: OwnOptions) -> Options:
    """The options for all players, but for those that one has for itself."""
    named = {name: value for name, value in dataclasses.asdict(own).items() if value is not None}
    return dataclasses.replace(shared, **named)


class Optimizer(NamedTuple):
    """The chain, open at the place where the clipped gradient can be measured."""

    thaw: Callable[[Any], Any]  # gradients -> the same, zero where parameters are frozen
    clip: optax.GradientTransformation
    descend: optax.GradientTransformationExtraArgs  # update(..., learning_rate=scalar)
    rate: optax.Schedule  # step -> learning rate before any plateau scale

    def init(self, params: Any) -> tuple[optax.OptState, optax.OptState]:
        """Raises UsageError for names of parameters that there are none of."""
        self.thaw(params)
        return self.clip.init(params), self.descend.init(params)


RULES: dict[str, Callable[[Options], optax.GradientTransformation]] = {
    "sgd": lambda o: optax.identity(),
    "momentum": lambda o: optax.trace(o.beta1),
    "rmsprop": lambda o: optax.scale_by_rms(decay=o.beta2, eps=o.epsilon),
    "adam": lambda o: optax.scale_by_adam(o.beta1, o.beta2, o.epsilon),
    "adamw": lambda o: optax.scale_by_adam(o.beta1, o.beta2, o.epsilon),
    "lion": lambda o: optax.scale_by_lion(o.beta1, o.beta2),
}

SCHEDULES: dict[str, Callable[[Options, int], optax.Schedule]] = {
    "constant": lambda o, steps: lambda step: jnp.ones_like(step, jnp.result_type(float)),
    "cosine": lambda o, steps: optax.cosine_decay_schedule(1.0, steps, o.final_scale),
    "linear": lambda o, steps: optax.linear_schedule(1.0, o.final_scale, steps),
    "step": lambda o, steps: lambda step: o.decay_rate ** _decays(o, step),
}


def _decays(options: Options, step: jax.Array) -> jax.Array:
    """How often the step schedule has multiplied by then."""
    if options.decay_at:
        return jnp.sum(step >= jnp.asarray(options.decay_at))
    return step // options.decay_every


ENDING = ("cosine", "linear")  # the schedules whose length is schedule_steps


def learning_rate(options: Options, schedule_steps: int) -> optax.Schedule:
    """step -> learning rate, before any plateau scale. `schedule_steps` counts the warm-up in."""
    warmup = options.warmup_steps or 0
    decay = SCHEDULES[options.schedule](options, max(schedule_steps - warmup, 1))

    def rate(step: jax.Array) -> jax.Array:
        scale = decay(jnp.maximum(step - warmup, 0))
        if warmup:
            scale = jnp.where(step < warmup, (step + 1) / warmup, scale)
        return options.learning_rate * scale

    return rate


def make(options: Options, schedule_steps: int, prefix: str = "optimizer.") -> Optimizer:
    """The chain of these options; `schedule_steps` is where the schedule ends, warm-up included.

    `prefix` is what a user writes before the names of the options, for the sentence of an error.
    """
    clips = [optax.identity()]
    if options.clip_value is not None:
        clips.append(optax.clip(options.clip_value))
    if options.clip_adaptive is not None:
        clips.append(optax.adaptive_grad_clip(options.clip_adaptive))
    if options.clip_norm is not None:
        clips.append(optax.clip_by_global_norm(options.clip_norm))
    moves = _moving(options, prefix)
    links = [RULES[options.rule](options)]
    if options.weight_decay is not None:
        decays = _named(options.decay_parameters, f"{prefix}decay_parameters")
        links.append(optax.add_decayed_weights(options.weight_decay, _both(decays, moves)))
    links.append(_descend_at_given_rate())
    rate = learning_rate(options, schedule_steps)
    return Optimizer(_only(moves), optax.chain(*clips), optax.chain(*links), rate)


def _moving(options: Options, prefix: str) -> Callable[[Any], Any]:
    """params -> tree of bool: what is not frozen."""
    if options.frozen is None:
        return lambda params: jax.tree.map(lambda _: True, params)
    frozen = _named(options.frozen, f"{prefix}frozen")
    return lambda params: jax.tree.map(operator.not_, frozen(params))


def _both(first: Callable[[Any], Any], second: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda params: jax.tree.map(operator.and_, first(params), second(params))


def _only(moves: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """gradients -> the same, but zero where nothing moves: of no account to norms and clipping."""
    keep = lambda gradient, moved: gradient if moved else jnp.zeros_like(gradient)  # noqa: E731
    return lambda grads: jax.tree.map(keep, grads, moves(grads))


def _descend_at_given_rate() -> optax.GradientTransformationExtraArgs:
    """Times -learning_rate, which the caller knows: it depends on the run's step and its plateaus.

    A count of the chain's own would fall behind the run's step where a step is skipped.
    """

    def update(updates, state, params=None, *, learning_rate, **_):
        return jax.tree.map(lambda u: u * -learning_rate.astype(u.dtype), updates), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


def _named(pattern: str, field: str) -> Callable[[Any], Any]:
    """params -> tree of bool: whose path matches. A pattern that matches none is an error."""

    def select(params: Any) -> Any:
        chosen = jax.tree_util.tree_map_with_path(
            lambda path, _: (
                re.search(pattern, jax.tree_util.keystr(path, simple=True, separator="/"))
                is not None
            ),
            params,
        )
        if not any(jax.tree.leaves(chosen)):
            raise UsageError(f"{field} {pattern!r} matches no parameter")
        return chosen

    return select
