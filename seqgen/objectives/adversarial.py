"""The game of real and fake: two players that move in turn, each with a loss of its own.

The discriminator scores examples, d(x) being its logit that x is real; the generator makes examples
of noise. A loss is a pair of functions of both scores, each one line of formula.
"""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn

from seqgen import spectral
from seqgen.augmentation import CHANGES, augmented
from seqgen.errors import UsageError, not_among, out_of_range, unknown
from seqgen.metrics import Meaning
from seqgen.networks import refuse_lengths
from seqgen.objectives import (
    Batch,
    Clock,
    Memory,
    Objective,
    Params,
    Player,
    example_keys,
    plane,
)

PLAYERS = ("discriminator", "generator")  # in their turn


class Loss(NamedTuple):
    """Of the scores of real and of fake examples [B], what each player makes small [B]."""

    discriminator: Callable[[jax.Array, jax.Array], jax.Array]
    generator: Callable[[jax.Array, jax.Array], jax.Array]


softplus = jax.nn.softplus  # softplus(-d) = -log sigmoid(d)
LOSSES = {
    # Goodfellow et al. 2014, equation 1: log(1 - D(fake)) has no slope where the fake is found out
    "minimax": Loss(lambda r, f: softplus(-r) + softplus(f), lambda r, f: -softplus(f)),
    # the same, the generator raising log D(fake) instead
    "non_saturating": Loss(lambda r, f: softplus(-r) + softplus(f), lambda r, f: softplus(-f)),
    # Mao et al. 2017 with labels 1, 0 and 1
    "least_squares": Loss(
        lambda r, f: 0.5 * (r - 1) ** 2 + 0.5 * f**2, lambda r, f: 0.5 * (f - 1) ** 2
    ),
    # Lim & Ye 2017, Miyato et al. 2018
    "hinge": Loss(lambda r, f: jax.nn.relu(1 - r) + jax.nn.relu(1 + f), lambda r, f: -f),
    # Arjovsky et al. 2017; needs a gradient penalty
    "wasserstein": Loss(lambda r, f: f - r, lambda r, f: -f),
    # Jolicoeur-Martineau 2019, as in Huang et al. 2024: a fake beside each real example
    "relativistic": Loss(lambda r, f: softplus(f - r), lambda r, f: softplus(r - f)),
}
REPORTS = {
    "loss": Meaning("", larger_is_better=True),  # the discriminator's, without penalties
    "d_real": Meaning("", larger_is_better=True),  # mean sigmoid(d) of real examples
    "d_fake": Meaning("", larger_is_better=True),
}
AUGMENT = 2  # fold of a clock's key, beside the two that it is split into


@dataclasses.dataclass(frozen=True)
class Options:
    loss: str = "relativistic"  # minimax, non_saturating, least_squares, hinge, wasserstein
    updates: int = 1  # of the discriminator for each of the generator, each on a batch of its own
    r1: float | None = None  # times half the squared slope of d at real examples (Mescheder 2018)
    r2: float | None = None  # the same at fake ones
    penalty_steps: int | None = None  # over which r1 and r2 shrink, by a cosine
    penalty_end: float = 0.1  # to this share of what they were
    gradient_penalty: float | None = (
        None  # times (slope - 1)² between real and fake (Gulrajani 2017)
    )
    spectral_norm: bool = (
        False  # of the discriminator's weights, divided by it (Miyato et al. 2018)
    )
    augment: tuple[str, ...] = ()  # how pictures are changed before d sees them, in this order:
    # brightness, contrast, translation, cutout; penalties are of changed pictures then

    def problems(self) -> Iterator[str]:
        yield from not_among(self, "objective.", loss=LOSSES)
        yield from out_of_range(
            self,
            "objective.",
            updates="[1, inf)",
            r1="(0, inf)",
            r2="(0, inf)",
            penalty_steps="[1, inf)",
            penalty_end="[0, 1]",
            gradient_penalty="(0, inf)",
        )
        bounds = (self.gradient_penalty, self.r1, self.r2, self.spectral_norm or None)
        if self.loss == "wasserstein" and bounds == (None,) * len(bounds):
            yield (
                "objective.loss=wasserstein has no end without a bound on slopes: set "
                "objective.gradient_penalty (10 in Gulrajani et al. 2017), r1, r2 or spectral_norm"
            )
        for name in self.augment:
            if name not in CHANGES:
                yield str(unknown("objective.augment", name, CHANGES))


class Game(NamedTuple):
    """What the functions of the objective are about."""

    options: Options
    model: nn.Module


def make(options: Options, model: nn.Module, spec: dict[str, Any]) -> Objective:
    """The objective of a model with `generate` and `discriminate`, such as `gan`."""
    if not hasattr(model, "discriminate"):
        raise UsageError("objective adversarial needs a model of two players: gan")
    if options.augment and spec["inputs"]["kind"] != "image":
        raise UsageError(
            f"objective.augment={','.join(options.augment)} is for pictures; dataset "
            f"{spec['dataset']} has {spec['inputs']['kind']} inputs"
        )
    game = Game(options, model)
    return Objective(
        players=(
            Player(PLAYERS[0], options.updates, partial(_of_discriminator, game)),
            Player(PLAYERS[1], 1, partial(_of_generator, game)),
        ),
        init=partial(_init, game),
        measure=partial(_measure, game),
        finalize=dict,
        reports=REPORTS,
        generate=partial(_generate, model),
        frame=partial(_frame, game) if plane.applies(model, spec) else None,
    )


def _init(game: Game, key: jax.Array, batch: Batch) -> tuple[Params, Memory]:
    rows = len(batch["inputs"])
    z_BZ = jnp.zeros((rows, game.model.options.latent_size))
    label_B = jnp.zeros(rows, jnp.int32)  # of any class
    params = dict(game.model.init(key, z_BZ, label_B)["params"])
    own = {"generator": params.pop("generator")}
    return {"discriminator": params, "generator": own}, {"rows": None, "shared": None}


def _of_discriminator(game, own, params: Params, memory: Memory, batch: Batch, clock: Clock):
    refuse_lengths(batch.get("length_B"), "gan")
    key_z, key_mix = jax.random.split(clock[1])
    z_BZ = jax.random.normal(key_z, (len(batch["weight_B"]), game.model.options.latent_size))
    real, fake, d = _scores(game, own, params["generator"], batch, z_BZ)
    real, fake = _seen(game, real, fake, clock)
    real_B, fake_B = d(real), d(fake)
    loss_B = LOSSES[game.options.loss].discriminator(real_B, fake_B)
    penalty_B = _penalties(game.options, d, real, fake, key_mix, clock[0])
    weight_B = batch["weight_B"]
    sums = {
        "loss": jnp.sum(loss_B * weight_B),
        "penalty": jnp.sum(penalty_B * weight_B),
        "d_real": jnp.sum(jax.nn.sigmoid(real_B) * weight_B),
        "d_fake": jnp.sum(jax.nn.sigmoid(fake_B) * weight_B),
    }
    return sums["loss"] + sums["penalty"], (jnp.sum(weight_B), memory, sums)


def _of_generator(game, own, params: Params, memory: Memory, batch: Batch, clock: Clock):
    weight_B = batch["weight_B"]
    z_BZ = jax.random.normal(clock[1], (len(weight_B), game.model.options.latent_size))
    real, fake, d = _scores(game, params["discriminator"], own, batch, z_BZ)
    real, fake = _seen(game, real, fake, clock)
    loss_B = LOSSES[game.options.loss].generator(d(real), d(fake))
    total = jnp.sum(loss_B * weight_B)
    return total, (jnp.sum(weight_B), memory, {"loss": total})


def _measure(game: Game, params: Params, memory: Memory, batch: Batch, key: jax.Array):
    del key  # the noise of an example depends on its number alone, not on its batch
    draw = partial(jax.random.normal, shape=(game.model.options.latent_size,))
    z_BZ = jax.vmap(draw)(example_keys(batch, 0))
    real, fake, d = _scores(game, params["discriminator"], params["generator"], batch, z_BZ)
    real_B, fake_B, weight_B = d(real), d(fake), batch["weight_B"]
    values = {
        "loss": LOSSES[game.options.loss].discriminator(real_B, fake_B),
        "d_real": jax.nn.sigmoid(real_B),
        "d_fake": jax.nn.sigmoid(fake_B),
    }
    return {name: (value_B * weight_B, weight_B) for name, value_B in values.items()}, memory


def _frame(game: Game, params: Params, real_N2: jax.Array, place_X2: jax.Array):
    size = (plane.FAKES, game.model.options.latent_size)
    z_MZ = jax.random.normal(jax.random.key(0), size)  # always the same
    both = params["discriminator"], params["generator"]
    real_N2, fake_M2, d = _scores(game, *both, {"inputs": real_N2}, z_MZ)
    return plane.frame(LOSSES[game.options.loss].generator, d, real_N2, fake_M2, place_X2)


def _scores(game: Game, read: Any, makes: Any, batch: Batch, z_BZ: jax.Array):
    """(real examples, fake ones, d): the fakes have the classes of the real ones."""
    label_B = batch.get("targets")
    read = spectral.normalised(read) if game.options.spectral_norm else read
    fake = game.model.apply({"params": makes}, z_BZ, label_B, method="generate")
    judge = partial(game.model.apply, {"params": read}, method="discriminate")
    return batch["inputs"], fake, lambda x: judge(x, label_B)


def _seen(game: Game, real: jax.Array, fake: jax.Array, clock: Clock) -> tuple[jax.Array, ...]:
    """What the discriminator is shown of both, in training."""
    keys = jax.random.split(jax.random.fold_in(clock[1], AUGMENT))
    return tuple(
        augmented(game.options.augment, key, x) for key, x in zip(keys, (real, fake), strict=True)
    )


def _penalties(options, d, real, fake, key, step):
    """What the slope of the discriminator costs, [B]."""
    shrunk = 1.0
    if options.penalty_steps is not None:
        done = jnp.minimum(step / options.penalty_steps, 1.0)
        left = 0.5 * (1 + jnp.cos(jnp.pi * done))
        shrunk = options.penalty_end + (1 - options.penalty_end) * left
    cost_B = jnp.zeros(len(real))
    if options.r1 is not None:
        cost_B += 0.5 * options.r1 * shrunk * squared_slope(d, real)
    if options.r2 is not None:
        cost_B += 0.5 * options.r2 * shrunk * squared_slope(d, fake)
    if options.gradient_penalty is not None:
        shape = (len(real),) + (1,) * (real.ndim - 1)
        share = jax.random.uniform(key, shape)
        between = share * real + (1 - share) * fake
        # the root has no slope at 0
        slope_B = jnp.sqrt(squared_slope(d, between) + 1e-12)
        cost_B += options.gradient_penalty * (slope_B - 1) ** 2
    return cost_B


def squared_slope(d: Callable[[jax.Array], jax.Array], x: jax.Array) -> jax.Array:
    """|grad d|² at each example, [B]; no example may influence the score of another."""
    slope = jax.grad(lambda x: jnp.sum(d(x)))(x)
    return jnp.sum(slope.reshape(len(x), -1) ** 2, axis=1)


def _generate(
    model: nn.Module, params: Params, memory: Memory, keys_B, inputs: Batch, options
) -> jax.Array:
    """Examples [B, *event] of noise each; `temperature` scales it.

    inputs: "targets" [B], the classes to make where the model is conditional.
    """
    del memory
    draw = partial(jax.random.normal, shape=(model.options.latent_size,))
    z_BZ = options.temperature * jax.vmap(draw)(keys_B)
    variables = {"params": params["generator"]}
    return model.apply(variables, z_BZ, inputs.get("targets"), method="generate")
