"""Grids of configs: 'model.cell=rnn,lstm; optimizer.learning_rate=1e-3,3e-3; seed=0..7'.

Fields stand between semicolons, a field's values between commas; of whole numbers `0..7` is all
from 0 to 7. Values are read as the command line reads `--config.FIELD=VALUE`; the commas of a tuple
stand in its brackets.
"""

import itertools
import re
from typing import Any, NamedTuple

from absl import flags
from ml_collections import config_dict

from seqgen import config as configs
from seqgen import overrides
from seqgen.errors import UsageError

MOST = 10_000  # points; more are a slip


class Point(NamedTuple):
    """A config of the grid, and what it is called there: field -> value."""

    chosen: dict[str, Any]
    config: config_dict.ConfigDict


def points(text: str, config: config_dict.ConfigDict) -> list[Point]:
    """The configs of a grid around that one, the last field's values next to each other.

    Raises UsageError for what is no grid, for an unknown field, and for a value that does not fit.
    """
    fields = parse(text)
    names, found = tuple(fields), []
    total = 1
    for values in fields.values():
        total *= len(values)
    if total > MOST:
        raise UsageError(f"--grid has {total} points, more than {MOST}")
    for values in itertools.product(*fields.values()):
        point = assigned(config, dict(zip(names, values, strict=True)))
        known = configs.fields(point)
        found.append(Point({name: known[name] for name in names}, point))
    return found


def parse(text: str) -> dict[str, list[str]]:
    """Field -> its values, as they are written. Raises UsageError."""
    fields: dict[str, list[str]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, equals, listed = (word.strip() for word in part.partition("="))
        if not equals or not name or not listed:
            raise UsageError(f"--grid has FIELD=VALUE,VALUE; …, not {part!r}")
        name = name.removeprefix("config.")
        values = [v for one in _split(listed) for v in _range(one)]
        if "" in values:
            raise UsageError(f"--grid has an empty value in {part!r}")
        if name in fields:
            raise UsageError(f"--grid has {name} twice")
        if repeated := [v for v in values if values.count(v) > 1]:
            raise UsageError(f"--grid has {name}={repeated[0]} twice")
        fields[name] = values
    if not fields:
        raise UsageError("--grid is empty: give FIELD=VALUE,VALUE; …")
    return fields


def _split(listed: str) -> list[str]:
    """At commas that are not inside brackets."""
    return [value.strip() for value in re.split(r",(?![^(\[]*[)\]])", listed)]


def _range(value: str) -> list[str]:
    ends = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", value)
    if ends is None:
        return [value]
    first, last = map(int, ends.groups())
    if last < first:
        raise UsageError(f"--grid has {value}, which is empty: the first is above the last")
    if last - first >= MOST:
        raise UsageError(f"--grid has {value}, more than {MOST} values")
    return [str(number) for number in range(first, last + 1)]


def assigned(config: config_dict.ConfigDict, chosen: dict[str, str]) -> config_dict.ConfigDict:
    """A copy with these fields set, as `--config.FIELD=VALUE` would. Raises UsageError."""
    copy = configs.from_json(configs.to_json(config))
    values, argv = flags.FlagValues(), [f"--config.{name}={v}" for name, v in chosen.items()]
    try:
        values(["grid", *overrides.define_overrides(copy, argv, values)])
    except flags.Error as error:
        raise UsageError(" ".join(str(error).split())) from error
    return values.config
