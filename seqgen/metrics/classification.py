"""How well classes are told apart: the F1 score of each, and their plain mean."""

import math

import jax
import jax.numpy as jnp

F1 = "f1/"  # what the score of a class is called, before the number of the class


def f1(
    logits_BC: jax.Array, target_B: jax.Array, weight_B: jax.Array
) -> dict[str, tuple[jax.Array, jax.Array]]:
    """name -> (value_B, weight_B) of each class; the mean over a split is the class's F1 score.

    That is 2 TP / (2 TP + FP + FN), a ratio of sums over examples: the denominator counts an
    example once for being of the class and once for being taken for it, the numerator twice where
    it is both.
    """
    predicted_B = jnp.argmax(logits_BC, axis=-1)
    scores = {}
    for number in range(logits_BC.shape[-1]):
        is_B = (target_B == number).astype(weight_B.dtype)
        said_B = (predicted_B == number).astype(weight_B.dtype)
        scores[f"{F1}{number}"] = (2 * is_B * said_B * weight_B, (is_B + said_B) * weight_B)
    return scores


def finalize(means: dict[str, float]) -> dict[str, float]:
    """Puts `macro_f1` in the place of the classes' scores: their mean over the classes that occur.

    A class that no example has and none is taken for has no score: its mean is NaN.
    """
    reported = {name: value for name, value in means.items() if not name.startswith(F1)}
    scores = [means[name] for name in means.keys() - reported.keys()]
    if scores := [score for score in scores if not math.isnan(score)]:
        reported["macro_f1"] = math.fsum(scores) / len(scores)
    return reported
