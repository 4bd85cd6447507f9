"""Errors that a user can mend: one sentence that names the choices, shown without a traceback."""

import difflib
import importlib
from collections.abc import Iterable
from types import ModuleType


class UsageError(Exception):
    """Bad input. `launch.py` prints its sentence and exits with code 2."""


class Failure(Exception):
    """The run can't go on, for a reason that one sentence explains. Exit code 1."""


def unknown(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """The error for a name that is not among the choices, with the nearest one if any is near."""
    choices = sorted(choices)
    near = difflib.get_close_matches(str(name), choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return UsageError(f"unknown {kind} {name!r}{hint} have: {', '.join(choices)}")


def require(module: str, extra: str) -> ModuleType:
    """Imports an optional module, or says which extra of seqgen brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{module.split('.')[0]} is not installed; it comes with the extra {extra!r}: "
            f"pip install 'seqgen[{extra}]'"
        ) from error
