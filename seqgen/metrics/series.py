"""How good generated series are, by recurrent networks that are trained on them (Yoon et al. 2019).

A classifier that has to tell them from real ones, and a forecaster that learns from them and is
tried on real ones. Letters here: N series of each set, T steps, E features, R refits.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from seqgen.errors import UsageError
from seqgen.layers import Recurrent, RecurrentOptions
from seqgen.metrics.intervals import Estimate, of_refits
from seqgen.metrics.samples import checked, thinned

REFITS = 5
LONGEST = 100  # steps of a series that are read
READER = RecurrentOptions(cell="gru", hidden_size=24)
STEPS, BATCH, LEARNING_RATE = 500, 64, 1e-2


class Discriminative(NamedTuple):
    """How well a recurrent classifier tells generated series from real ones."""

    score: Estimate  # |accuracy - 1/2| of held-out series: 0 where they are alike, 1/2 at most
    accuracies: tuple[float, ...]  # of each refit
    n: int  # series of each set; every one is held out once
    length: int  # steps of each that were read


class Predictive(NamedTuple):
    """How well a recurrent forecaster of real series learns from generated ones."""

    score: Estimate  # mean absolute error of the next step, in the data's units
    of_real: Estimate  # the same of one that learns from as many real series
    errors: tuple[float, ...]  # of each refit
    errors_of_real: tuple[float, ...]
    n: int  # real series; every one is tried once
    length: int  # steps of each that were read


def discriminative(
    real_NTE: np.ndarray,
    generated_MTE: np.ndarray,
    *,
    refits: int = REFITS,
    most: int = 1000,
    longest: int = LONGEST,
    steps: int = STEPS,
    seed: int = 0,
) -> Discriminative:
    """The discriminative score: |accuracy - 1/2| of a GRU that reads a series and says which it is.

    Both sets are cut into as many parts as there are refits; each refit is tried on one part and
    trained on the others, from initial weights of its own. The accuracies are averaged before 1/2
    is taken off: the mean of |accuracy - 1/2| would be above 0 also where nothing can be told.
    Copies of real series are answered worse than by chance, as their twins have the other label.

    Args:
      most: series of each set at most, drawn at random.
      longest: steps read of a series. Of a longer one it is a window of so many consecutive steps;
        the windows of each part are spaced evenly from the first step to the last, in both sets
        alike. What takes more steps than that to be seen is not seen.
      steps: of training in each refit; the cost is refits * steps batches of 64 such windows.

    Raises:
      UsageError: sets that are not series of one shape, or are too small for so many refits.
    """
    x_NTE, y_NTE = _sets(refits, most, longest, seed, real=real_NTE, generated=generated_MTE)
    n, keys_R = len(x_NTE), jax.random.split(jax.random.key(seed), refits)
    trained_RJ, tried_RJ = (np.concatenate([p, n + p], axis=1) for p in _parts(n, refits))
    both_JTE = np.concatenate([x_NTE, y_NTE])
    accuracy_R = np.asarray(_accuracies(steps, keys_R, trained_RJ, tried_RJ, both_JTE), float)
    signed = of_refits(accuracy_R - 0.5)
    low, high = sorted((abs(signed.low), abs(signed.high)))
    score = Estimate(abs(signed.value), 0.0 if signed.low <= 0 <= signed.high else low, high)
    return Discriminative(_within(score, 0.5), tuple(accuracy_R.tolist()), *x_NTE.shape[:2])


def predictive(
    real_NTE: np.ndarray,
    generated_MTE: np.ndarray,
    *,
    refits: int = REFITS,
    most: int = 1000,
    longest: int = LONGEST,
    steps: int = STEPS,
    seed: int = 0,
) -> Predictive:
    """The predictive score: a GRU learns each next step of generated series, and is tried on real.

    Its mean absolute error of all features is in the data's units; what counts is how far it is
    above that of a forecaster that learned from real series. Parts, arguments and errors are those
    of `discriminative`. The authors' code forecasts the last feature alone, from the others.
    """
    x_NTE, y_NTE = _sets(refits, most, longest, seed, real=real_NTE, generated=generated_MTE)
    if x_NTE.shape[1] < 2:
        raise UsageError("a series of one step has no next one to predict")
    errors, parts = [], _parts(len(x_NTE), refits)
    for source_NTE in (y_NTE, x_NTE):
        keys_R = jax.random.split(jax.random.key(seed), refits)  # both begin alike
        errors.append(np.asarray(_errors(steps, keys_R, *parts, source_NTE, x_NTE), float))
    score, of_real = (_within(of_refits(error_R), np.inf) for error_R in errors)
    return Predictive(score, of_real, *(tuple(e.tolist()) for e in errors), *x_NTE.shape[:2])


@partial(jax.jit, static_argnums=0)
@partial(jax.vmap, in_axes=(None, 0, 0, 0, None))
def _accuracies(steps, key, trained_J, tried_J, both_JTE):
    """Of each refit [R]; the first half of the series are real."""
    label_J = jnp.repeat(jnp.arange(2.0), len(both_JTE) // 2)
    mean_E, deviation_E = _scale(both_JTE[trained_J])
    scaled_JTE = (both_JTE - mean_E) / deviation_E

    def loss(out_JT1, label_J):
        return optax.sigmoid_binary_cross_entropy(out_JT1[:, -1, 0], label_J)

    says = _fitted(loss, 1, steps, key, scaled_JTE[trained_J], label_J[trained_J])
    right_J = (says(scaled_JTE[tried_J])[:, -1, 0] > 0) == (label_J[tried_J] > 0)
    return jnp.mean(right_J, dtype=both_JTE.dtype)


@partial(jax.jit, static_argnums=0)
@partial(jax.vmap, in_axes=(None, 0, 0, 0, None, None))
def _errors(steps, key, trained_N, tried_N, source_NTE, real_NTE):
    """Of each refit [R], trained on some of the source and tried on real series."""
    mean_E, deviation_E = _scale(source_NTE[trained_N])

    def loss(out_NTE, next_NTE):
        return jnp.mean(jnp.abs(out_NTE - next_NTE), axis=(1, 2))

    seen_NTE = (source_NTE[trained_N] - mean_E) / deviation_E
    size = source_NTE.shape[2]
    foretell = _fitted(loss, size, steps, key, seen_NTE[:, :-1], seen_NTE[:, 1:])
    asked_NTE = (real_NTE[tried_N] - mean_E) / deviation_E
    return jnp.mean(jnp.abs(foretell(asked_NTE[:, :-1]) - asked_NTE[:, 1:]) * deviation_E)


class _Reader(nn.Module):
    """Says something at every step of a series, of what it has read so far."""

    outputs: int

    @nn.compact
    def __call__(self, x_NTE: jax.Array) -> jax.Array:
        _, h_NTD = Recurrent(READER)(x_NTE)
        return nn.Dense(self.outputs, param_dtype=float)(h_NTD)


def _fitted(
    loss: Callable[[jax.Array, jax.Array], jax.Array],
    outputs: int,
    steps: int,
    key: jax.Array,
    x_NTE: jax.Array,
    y: jax.Array,
) -> Callable[[jax.Array], jax.Array]:
    """A reader that makes the loss [N] of its outputs and y small: series -> outputs [N, T, O]."""
    reader = _Reader(outputs)
    key_init, key_steps = jax.random.split(key)
    rate = optax.cosine_decay_schedule(LEARNING_RATE, steps)
    chain = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))

    def step(fitted, number):
        params, state = fitted
        rows_B = jax.random.randint(jax.random.fold_in(key_steps, number), (BATCH,), 0, len(x_NTE))
        mean = lambda p: jnp.mean(loss(reader.apply(p, x_NTE[rows_B]), y[rows_B]))  # noqa: E731
        moved, state = chain.update(jax.grad(mean)(params), state, params)
        return (optax.apply_updates(params, moved), state), None

    params = reader.init(key_init, x_NTE[:1])
    start = (params, chain.init(params))
    (params, _), _ = jax.lax.scan(step, start, jnp.arange(steps))
    return partial(reader.apply, params)


def _sets(refits: int, most: int, longest: int, seed: int, **sets: np.ndarray) -> list[np.ndarray]:
    """As many series of each set, in random order, a multiple of the refits; at most so long."""
    if refits < 2:
        raise UsageError(f"refits must be at least 2 for an interval, not {refits}")
    shapes = [np.shape(values) for values in sets.values()]
    for name, shape in zip(sets, shapes, strict=True):
        if len(shape) != 3:
            raise UsageError(f"{name} must be series by steps by features, not of shape {shape}")
        if shape[1:] != shapes[0][1:]:
            raise UsageError(
                f"{name} has series of {shape[1]} steps by {shape[2]} features, but "
                f"{next(iter(sets))} of {shapes[0][1]} by {shapes[0][2]}"
            )
    arrays, random = checked(least=2 * refits, **sets), np.random.RandomState(seed)
    n = min(most, *map(len, arrays)) // refits * refits
    drawn = [thinned(array, n, random).reshape(n, *shapes[0][1:]) for array in arrays]
    length = min(longest, shapes[0][1])
    start_N = np.tile(np.linspace(0, shapes[0][1] - length, n // refits).astype(int), refits)
    place_NT = start_N[:, None] + np.arange(length)
    return [
        np.take_along_axis(x_NTE, place_NT[:, :, None], axis=1).astype(jnp.result_type(float))
        for x_NTE in drawn
    ]


def _parts(n: int, refits: int) -> tuple[np.ndarray, np.ndarray]:
    """(trained on, tried on): numbers of series, a row for each refit."""
    tried_RN = np.arange(n).reshape(refits, -1)
    trained = [np.concatenate([*tried_RN[:r], *tried_RN[r + 1 :]]) for r in range(refits)]
    return np.stack(trained), tried_RN


def _scale(x_NTE: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and deviation of each feature over series and steps, [1, 1, E]."""
    deviation_E = jnp.std(x_NTE, axis=(0, 1), keepdims=True)
    # of a feature that never changes there is nothing to scale
    return jnp.mean(x_NTE, axis=(0, 1), keepdims=True), jnp.where(deviation_E > 0, deviation_E, 1)


def _within(estimate: Estimate, most: float) -> Estimate:
    return Estimate(estimate.value, max(0.0, estimate.low), min(most, estimate.high))
