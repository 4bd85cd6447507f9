"""How a property is found to be broken, and the sentence that says so."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import jax
import numpy as np


def check(properties: Iterable[Callable[[Any], None]], case: Any, tried: str) -> None:
    """Raises an AssertionError for the first property that the case does not have."""
    for holds in properties:
        try:
            holds(case)
        except Exception as error:  # what is checked may fail in any way
            name = holds.__name__.replace("_", " ")
            said = " ".join((inspect.getdoc(holds) or "").split())
            found = str(error) if isinstance(error, AssertionError) else repr(error)
            raise AssertionError(
                f"broken: {name}. {said} Found: {found}. Tried: {tried}"
            ) from error


def same(actual: Any, expected: Any, what: str = "") -> None:
    """Raises an AssertionError that names the first number of a tree that is another, or NaN."""
    wanted = jax.tree.leaves_with_path(expected)
    for (path, want), got in zip(wanted, jax.tree.leaves(actual), strict=True):
        where = what + jax.tree_util.keystr(path, simple=True, separator=".")
        got, want = np.asarray(got), np.asarray(want)
        if got.shape != want.shape:
            raise AssertionError(f"{where} is {list(got.shape)}, not {list(want.shape)}")
        limit = np.finfo(want.dtype).eps ** 0.6 if want.dtype.kind == "f" else 0
        off = np.argwhere(~np.isclose(got, want, rtol=limit, atol=limit))
        if len(off) > 0:
            place = tuple(map(int, off[0]))
            raise AssertionError(
                f"{where} {list(want.shape)} at {list(place)} is {got[place]:.6g}, not "
                f"{want[place]:.6g} ({len(off)} of {want.size} numbers differ)"
            )
