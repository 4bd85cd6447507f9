"""A class that no model gets to see in training: what there is to detect as anomalous."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from seqgen.errors import UsageError, unknown

Arrays = dict[str, dict[str, np.ndarray]]  # split -> field -> examples


def leave_out(
    spec: dict[str, Any], arrays: Arrays, name: str | None
) -> tuple[dict[str, Any], Arrays]:
    """Spec and arrays, train and valid without the examples of that class; None leaves all.

    The other examples are those that there are without it. Raises UsageError for an unknown class,
    and where nothing else is left of a split.
    """
    if name is None:
        return spec, arrays
    number = number_of(spec["classes"], name)
    kept = dict(arrays)
    for split in ("train", "valid"):
        other_N = arrays[split]["targets"] != number
        if not other_N.any():
            raise UsageError(f"dataset.held_out={name} leaves no example of {split}")
        kept[split] = {field: array[other_N] for field, array in arrays[split].items()}
    return spec | {"held_out": number}, kept


def number_of(classes: Sequence[str], name: str) -> int:
    if name not in classes:
        raise unknown("class of dataset.held_out", name, classes)
    return list(classes).index(name)
