"""The trials of a sweep: which configs, what is chosen in each, and what each is known by.

A sweep is a list of dicts, field -> value, around one config. A sweep file returns one from
`get_sweep()`, built of `grid`, `zip_`, `chain` and `sample`:

    from seqgen.trials import chain, choice, grid, loguniform, sample, zip_

    def get_sweep():
        rates = sample(20, {"optimizer.learning_rate": loguniform(1e-4, 1e-1)}, seed=0)
        return grid(rates, {"model.cell": ["rnn", "lstm"], "seed": range(3)})

The field `config` names the experiment of a trial, `experiments/NAME.py[:variant]`, where the
command line names none.
"""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import config_dict

from seqgen import config as configs
from seqgen import grid as grids
from seqgen import own, run_directory
from seqgen.errors import UsageError

SEEDS = "seed_"  # begins the names of runs that differ in their seeds alone
Sweep = list[dict[str, Any]]
Distribution = Callable[[float], Any]  # the value below which a share of all values lies


class Trial(NamedTuple):
    """A config of a sweep."""

    chosen: dict[str, Any]  # field -> value, of what the sweep says of it
    config: config_dict.ConfigDict
    digest: str  # its identity: equal ones are the same run

    @property
    def run(self) -> Path:
        """Its run directory, within that of the sweep."""
        return _place(self.digest)


def digest(config: config_dict.ConfigDict) -> str:
    """SHA-256 of all that decides a run's weights and how long it is."""
    settled = configs.settled(config, None)
    return run_directory.digest(configs.identity(settled) | {"num_steps": settled.num_steps})


def directory(config: config_dict.ConfigDict, workdir: Path) -> Path:
    """Where a config's run stands, whichever sweep or claim asked for it first."""
    return workdir / _place(digest(config))


def _place(identity: str) -> Path:
    return Path("runs") / identity[:16]


def of_seed(workdir: Path, seed: int) -> Path:
    """Where a run stands of several that differ in their seeds alone."""
    return workdir / f"{SEEDS}{seed}"


def seeds(workdir: Path) -> dict[int, Path]:
    """Seed -> run directory of such runs in a directory; empty where none has begun."""
    found = {path.name.removeprefix(SEEDS): path for path in workdir.glob(f"{SEEDS}*")}
    numbered = {int(n): path for n, path in found.items() if n.isdecimal() and path.is_dir()}
    begun = any((path / "config.json").exists() for path in numbered.values())
    return dict(sorted(numbered.items())) if begun else {}


def grid(*axes: Mapping[str, Iterable[Any]] | Sweep) -> Sweep:
    """Every combination, the last axis fastest.

    An axis is a field's values, several in one mapping, or a sweep, whose trials stay together.
    Raises UsageError for a field without values or in two axes.
    """
    return [_merged(parts) for parts in itertools.product(*_axes("grid", axes))]


def zip_(*axes: Mapping[str, Iterable[Any]] | Sweep) -> Sweep:
    """The first of all axes, the second of all, …; raises UsageError for axes of unlike length."""
    walked = _axes("zip_", axes)
    if len(lengths := {len(axis) for axis in walked}) > 1:
        raise UsageError(f"zip_ has axes of {' and '.join(map(str, sorted(lengths)))} values")
    return [_merged(parts) for parts in zip(*walked, strict=True)]


def chain(*sweeps: Sweep) -> Sweep:
    """One sweep after the other. Raises UsageError for what is no sweep."""
    for sweep in sweeps:
        if not _is_sweep(sweep):
            raise UsageError(f"chain takes sweeps, such as grid(…) and sample(…), not {sweep!r}")
    return list(itertools.chain(*sweeps))


def sample(number: int, fields: Mapping[str, Distribution], seed: int = 0) -> Sweep:
    """So many trials, each field drawn by itself.

    A field's values depend on the seed and its name alone: a larger number begins with the trials
    of a smaller one, and another field beside changes nothing.

    Args:
      number: of trials.
      fields: field -> `uniform`, `loguniform`, `integers` or `choice`, or a function of your own
        from a number in [0, 1), uniformly drawn, to a value.
      seed: of all of it.
    """
    if number < 1 or not fields:
        raise UsageError(f"sample needs a number and fields, not {number} of {list(fields)}")
    columns = []
    for name, distribution in fields.items():
        if not callable(distribution):
            raise UsageError(f"sample has {distribution!r} for {name}: give loguniform(…) or such")
        shares = np.random.default_rng([seed, *name.encode()]).random(number)
        columns.append([{name: distribution(share)} for share in shares.tolist()])
    return zip_(*columns)


def uniform(low: float, high: float) -> Distribution:
    """Between low and high."""
    _require(low < high, "uniform", low, high)
    return lambda share: low + (high - low) * share


def loguniform(low: float, high: float) -> Distribution:
    """Between low and high, its logarithm uniform."""
    _require(0 < low < high, "loguniform", low, high)
    return lambda share: low * math.exp(math.log(high / low) * share)


def integers(low: int, high: int) -> Distribution:
    """Whole numbers from low to high, both included."""
    _require(low <= high, "integers", low, high)
    return lambda share: low + math.floor((high - low + 1) * share)


def choice(values: Sequence[Any]) -> Distribution:
    """One of these, each as likely as the others."""
    _require(len(values) > 0, "choice", values)
    return lambda share: values[math.floor(len(values) * share)]


def _require(holds: bool, name: str, *arguments: Any) -> None:
    if not holds:
        listed = ", ".join(map(repr, arguments))
        raise UsageError(f"{name}({listed}) has no values to draw from")


def _is_sweep(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _axes(what: str, given: Iterable[Mapping[str, Iterable[Any]] | Sweep]) -> list[Sweep]:
    axes = []
    for one in given:
        if _is_sweep(one):
            axes.append(one)
            continue
        if not isinstance(one, Mapping):
            raise UsageError(f"{what} takes {{field: values}} and sweeps, not {one!r}")
        for name, values in one.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise UsageError(f"{what} has {values!r} for {name}: give a list of values")
            axes.append([{name: value} for value in values])
            if not axes[-1]:
                raise UsageError(f"{what} has no value for {name}")
    if not axes:
        raise UsageError(f"{what} is empty: give {{field: values}}")
    return axes


def _merged(parts: Iterable[dict[str, Any]]) -> dict[str, Any]:
    chosen: dict[str, Any] = {}
    for part in parts:
        if repeated := sorted(chosen.keys() & part.keys()):
            raise UsageError(f"{repeated[0]} is in two axes of one sweep")
        chosen |= part
    return chosen


def of_grid(text: str, config: config_dict.ConfigDict) -> list[Trial]:
    """The trials of `--grid` around that config. Raises UsageError."""
    return distinct(made(point.chosen, point.config) for point in grids.points(text, config))


def of_file(path: str, config: config_dict.ConfigDict | None) -> list[Trial]:
    """The trials of a sweep file around that config, or each around its own.

    Raises UsageError for a file that can't be run, for what is no sweep, an unknown field, a value
    that does not fit, and a trial of no config or of two.
    """
    sweep = own.call("sweep", path, "get_sweep")
    if not _is_sweep(sweep) or not sweep:
        raise UsageError(f"get_sweep in {path} returned {sweep!r}, not trials: see grid(…)")
    if len(sweep) > grids.MOST:
        raise UsageError(f"get_sweep in {path} has {len(sweep)} trials, more than {grids.MOST}")
    load = functools.cache(configs.load)
    trials = []
    for one in sweep:
        if ("config" in one) == (config is not None):
            raise UsageError(
                f"{path} needs --config=experiments/NAME.py[:variant], or the field 'config' in "
                "each of its trials, not both"
            )
        fields, around = dict(one), config
        if config is None:
            reference = fields.pop("config")
            if not isinstance(reference, str):
                raise UsageError(f"{path} has {reference!r} for config: give its name as text")
            around = load(reference)
        point = grids.assigned(around, {name: written(name, v) for name, v in fields.items()})
        known = configs.fields(point)
        trials.append(made(one | {name: known[name] for name in fields}, point))
    return distinct(trials)


def written(name: str, value: Any) -> str:
    """A value as the command line has it, so that one rule types both. Raises UsageError."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (list, tuple)):
        return repr(tuple(value))
    if value is None or isinstance(value, (str, int, float, Path)):
        return str(value)
    raise UsageError(f"the sweep has {value!r} for {name}, which no config can hold")


def made(chosen: dict[str, Any], config: config_dict.ConfigDict) -> Trial:
    """A trial, its config as its run stores it. Raises UsageError for options out of range."""
    try:
        configs.validate(config)
    except UsageError as error:
        raise UsageError(f"the trial {spoken(chosen)}: {error}") from error
    return Trial(chosen, configs.settled(config, None), digest(config))


def distinct(trials: Iterable[Trial]) -> list[Trial]:
    """Each once: of equal ones the first."""
    found: dict[str, Trial] = {}
    for trial in trials:
        found.setdefault(trial.digest, trial)
    return list(found.values())


def spoken(chosen: Mapping[str, Any]) -> str:
    """What is chosen, on a line."""
    return " ".join(f"{name}={short(value)}" for name, value in chosen.items())


def short(value: Any) -> str:
    """A value for tables: four digits of a float that has more."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def listed(sweep: dict[str, Any], file: Path) -> list[dict[str, Any]]:
    """The trials of a stored sweep. Raises UsageError unless each has its run and what it chose."""
    found = sweep["trials"]
    if not isinstance(found, list):
        raise UsageError(f"{file} is damaged: its trials are no list")
    for one in found:
        run_directory.refuse_without(one, ("run", "chosen"), file)
        run, chosen = one["run"], one["chosen"]
        if not isinstance(run, str) or Path(run).is_absolute() or not isinstance(chosen, dict):
            raise UsageError(f"{file} is damaged: a trial has no run in its folder, or no fields")
    return found
