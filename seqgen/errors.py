"""Errors that a user can mend: one sentence that names the choices, shown without a traceback."""

import difflib
import importlib
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any


class UsageError(Exception):
    """Bad input. `launch.py` prints its sentence."""

    exit_code = 2


class Failure(Exception):
    """The run can't go on, for a reason that one sentence explains."""

    exit_code = 1


def unknown(kind: str, name: str, choices: Iterable[str]) -> UsageError:
    """The error for a name that is not among the choices, with the nearest one if any is near."""
    choices = sorted(choices)
    near = difflib.get_close_matches(str(name), choices, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ";"
    return UsageError(f"unknown {kind} {name!r}{hint} have: {', '.join(choices)}")


def unknown_field(name: str, fields: Iterable[str]) -> UsageError:
    """As `unknown`, for a dotted name: of all fields names those of the nearest one's section."""
    fields = list(fields)
    section = (difflib.get_close_matches(name, fields, n=1) or [name])[0].rpartition(".")[0]
    beside = [field for field in fields if field.rpartition(".")[0] == section]
    return unknown("config field", name, beside or [f for f in fields if "." not in f])


def out_of_range(options: Any, prefix: str, **intervals: str) -> Iterator[str]:
    """A sentence for every named field of the options that is not in its interval.

    Args:
      options: of any part. None is an option switched off; NaN is in no interval.
      prefix: what a user writes before the names of the fields, such as "optimizer.".
      **intervals: field -> interval as in mathematics, such as "[0, 1)" or "(0, inf)".
    """
    for name, interval in intervals.items():
        value = getattr(options, name)
        if value is not None and not _inside(value, interval):
            low, high = interval[1:-1].split(", ")
            least = f"at least {low}" if interval[0] == "[" else f"above {low}"
            wanted = least if high == "inf" else f"in {interval}"
            yield f"{prefix}{name} must be {wanted}, not {value}"


def _inside(value: float, interval: str) -> bool:
    low, high = (float(end) for end in interval[1:-1].split(", "))
    over = low <= value if interval[0] == "[" else low < value
    return over and (value <= high if interval[-1] == "]" else value < high)


def not_among(options: Any, prefix: str, **choices: Iterable[str]) -> Iterator[str]:
    """A sentence for every named field of the options that is set to none of its choices."""
    for name, known in choices.items():
        value = getattr(options, name)
        if value is not None and value not in known:
            yield str(unknown(prefix + name, value, known))


def require(module: str, extra: str) -> ModuleType:
    """Imports an optional module, or says which extra of seqgen brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(
            f"{module.split('.')[0]} is not installed; it comes with the extra {extra!r}: "
            f"pip install 'seqgen[{extra}]'"
        ) from error
