"""Statistics of sequences and samples: pure functions of arrays, no input or output."""

import math
from typing import Any, NamedTuple

import jax

Measured = dict[str, tuple[jax.Array, jax.Array]]  # name -> (value_B, weight_B)


class Meaning(NamedTuple):
    """What a reported number means."""

    unit: str  # empty for a number without one
    larger_is_better: bool


def target_unit(spec: dict[str, Any]) -> str | None:
    """What one target of a text is, such as a character; None where targets are not its tokens."""
    return spec.get("unit") if spec["targets"]["per"] == "step" else None


def described(metrics: dict[str, float], meanings: dict[str, Meaning]) -> str:
    """Numbers with their units, in the meanings' order, for a line that a person reads."""
    return ", ".join(
        f"{name} {metrics[name]:.4f} {meaning.unit}".rstrip()
        for name, meaning in meanings.items()
        if name in metrics
    )


def means(pieces: list[Measured]) -> dict[str, float]:
    """name -> sum of values / sum of weights, each summed exactly over all rows of all batches.

    A mean of nothing is NaN.
    """
    result = {}
    for name in pieces[0]:
        values, weights = (
            math.fsum(float(x) for piece in pieces for x in piece[name][k]) for k in (0, 1)
        )
        result[name] = values / weights if weights else math.nan
    return result
