"""One locked ConfigDict out of the parts' Options, and back.

An experiment calls `default(dataset=…, model=…, objective=…)` and changes fields; `load` runs the
experiment; `options` hands each part its own frozen dataclass. Below that nobody sees a ConfigDict.
"""

import dataclasses
import importlib
import json
import math
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from ml_collections import config_dict

from seqgen import optimizer, own
from seqgen.errors import UsageError, out_of_range, unknown

PARTS = {"dataset": "seqgen.datasets", "model": "seqgen.models", "objective": "seqgen.objectives"}
# What may change between a run and its continuation: its length, how often it speaks and to whom.
MAY_CHANGE_ON_RESUME = (
    "num_steps",
    "log_every",
    "checkpoint_every",
    "keep_every",
    "record_every",
    "tensorboard",
)


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """The run's own fields, at the top level of the config."""

    seed: int = 0
    seeds: int | None = None  # train so many runs at once, each in a directory: from seed on
    num_steps: int = 1000
    schedule_steps: int | None = None  # length of the learning-rate schedule; None: num_steps
    log_every: int = 50
    eval_every: int = 500
    checkpoint_every: int = 500
    keep_every: int | None = None  # checkpoints at multiples stay, beside the latest two and best
    record_every: int | None = None  # steps from frame to frame of the film of points that move
    monitor: str | None = (
        "loss"  # validation metric of best, plateau, early stop; None: latest is best
    )
    patience: int | None = None  # so many evaluations in a row without a new best end the run
    stop_when_indistinguishable: bool = False  # samples, from held-out data by two-sample tests
    stop_detectable: float = 0.6  # they end it only if a classifier so often right is noticed
    accumulate: int | None = None  # split each batch into so many parts, one after the other
    ema: float | None = None  # decay of the averaged parameters that evaluation then uses
    max_nonfinite: int = 20  # so many skipped steps in a row end the run
    tensorboard: bool = False  # write event files too (extra tensorboard)

    HOST: typing.ClassVar = ("stop_detectable",)  # numbers that no traced step can be given

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            prefix="",
            seed=f"[0, {2**32})",  # a key has room for no more: larger seeds would repeat
            num_steps="[1, inf)",
            schedule_steps="[1, inf)",
            log_every="[1, inf)",
            eval_every="[1, inf)",
            checkpoint_every="[1, inf)",
            keep_every="[1, inf)",
            record_every="[1, inf)",
            patience="[1, inf)",
            stop_detectable="(0.5, 1)",
            accumulate="[1, inf)",
            ema="[0, 1)",
            max_nonfinite="[1, inf)",
        )
        if self.seeds is not None:
            yield f"seeds={self.seeds} is for train, which makes runs of one seed each"
        if self.monitor is None and self.patience is not None:
            yield f"patience={self.patience} needs a monitor, and that is None"


def names(kind: str) -> tuple[str, ...]:
    """The parts of a kind: the files of its folder that declare `Options` and `make`."""
    folder = importlib.import_module(PARTS[kind])
    found = (module.name for module in pkgutil.iter_modules(folder.__path__))
    return tuple(n for n in sorted(found) if hasattr(_import(kind, n), "Options"))


def part(kind: str, name: str) -> types.ModuleType:
    """The module of a part. Raises UsageError for an unknown name."""
    if name not in names(kind):
        raise unknown(kind, name, names(kind))
    return _import(kind, name)


def _import(kind: str, name: str) -> types.ModuleType:
    return importlib.import_module(f"{PARTS[kind]}.{name}")


def default(**parts: str) -> config_dict.ConfigDict:
    """The config of a dataset, a model and an objective, every field at its default."""
    config = _section(RunOptions)
    config.optimizer = _section(optimizer.Options)
    objective = part("objective", parts["objective"])
    if hasattr(objective, "PLAYERS"):
        config.players = config_dict.ConfigDict()
        for player in objective.PLAYERS:
            config.players[player] = _section(optimizer.OwnOptions)
    for kind in PARTS:
        section = _section(part(kind, parts[kind]).Options)
        section.name = parts[kind]
        config[kind] = section
    return config.lock()


def _section(options: type) -> config_dict.ConfigDict:
    section = config_dict.ConfigDict()
    hints = typing.get_type_hints(options)
    for field in dataclasses.fields(options):
        optional = [t for t in typing.get_args(hints[field.name]) if t is not types.NoneType]
        if isinstance(hints[field.name], types.UnionType) and len(optional) == 1:
            plain = typing.get_origin(optional[0]) or optional[0]  # tuple, of tuple[int, ...]
            section[field.name] = config_dict.placeholder(plain)
        section[field.name] = field.default
    return section


def options(
    config: config_dict.ConfigDict,
    section: str | None = None,
    lane: Mapping[str, Any] | None = None,
) -> Any:
    """The frozen Options of `config.<section>`, or the RunOptions of the config itself.

    lane: dotted name -> value of what is not as in the config, possibly traced (`parts.py`).
    """
    if section is None:
        kind, values, prefix = RunOptions, config, ""
    else:
        kind, values, prefix = options_of(config, section), config[section], f"{section}."
    return kind(
        **{
            field.name: (lane or {}).get(prefix + field.name, values[field.name])
            for field in dataclasses.fields(kind)
        }
    )


def options_of(config: config_dict.ConfigDict, section: str) -> type:
    """The Options that a section of the config is made of."""
    if section in PARTS:
        return part(section, config[section].name).Options
    return optimizer.OwnOptions if section.startswith("players.") else optimizer.Options


def optimizer_of(
    config: config_dict.ConfigDict, player: str, lane: Mapping[str, Any] | None = None
) -> optimizer.Options:
    """`config.optimizer`, but for what `config.players` says of that player, where it has more."""
    shared = options(config, "optimizer", lane)
    if "players" not in config:
        return shared
    return optimizer.of_player(shared, options(config, f"players.{player}", lane))


def validate(config: config_dict.ConfigDict) -> None:
    """Raises one UsageError with every problem that the Options know of."""
    problems = [
        f"{name} must be a finite number, not {value}"
        for name, value in fields(config).items()
        if isinstance(value, float) and not math.isfinite(value)
    ]
    if not problems:  # a range says nothing about NaN that has not been said
        for section in (None, "optimizer", *PARTS):
            built = options(config, section)
            problems += built.problems() if hasattr(built, "problems") else ()
        problems += _problems_of_players(config)
    if problems:
        raise UsageError("; ".join(problems))


def _problems_of_players(config: config_dict.ConfigDict) -> Iterator[str]:
    """What is wrong with a player's optimizer and not with that of all."""
    shared = options(config, "optimizer")
    for player in config.players if "players" in config else ():
        prefix = f"players.{player}."
        known = set(shared.problems(prefix))
        own = optimizer_of(config, player).problems(prefix)
        yield from (problem for problem in own if problem not in known)


def model(
    config: config_dict.ConfigDict, spec: dict[str, Any], lane: Mapping[str, Any] | None = None
) -> Any:
    """The config's model for data of that spec. Raises UsageError for data that do not fit it."""
    return part("model", config.model.name).make(options(config, "model", lane), spec)


def assemble(
    config: config_dict.ConfigDict, spec: dict[str, Any], lane: Mapping[str, Any] | None = None
) -> Any:
    """The config's objective over its model, for data of that spec.

    Raises UsageError for parts that do not fit, for a monitor that would not be reported, and for
    frames of what is no film.
    """
    make = part("objective", config.objective.name).make
    objective = make(options(config, "objective", lane), model(config, spec, lane), spec)
    if config.monitor is not None and config.monitor not in objective.reports:
        raise unknown("monitor", config.monitor, objective.reports)
    if config.record_every is not None and objective.frame is None:
        raise UsageError(
            "record_every is for a game of points in the plane: dataset points, model gan, "
            "unconditional, objective adversarial"
        )
    return objective


def settled(
    config: config_dict.ConfigDict, stored: config_dict.ConfigDict | None
) -> config_dict.ConfigDict:
    """The config with `schedule_steps` a number, as its run began with it: `stored`, if it did.

    So a run that is lengthened keeps the learning rates of its past.
    """
    config = config.copy_and_resolve_references()
    if config.schedule_steps is None:
        begun = config if stored is None else stored
        length = begun.schedule_steps
        config.schedule_steps = begun.num_steps if length is None else length
    return config


def identity(config: config_dict.ConfigDict) -> dict[str, Any]:
    """What of a config decides the weights at a given step: all that a resume may not change.

    The names of its parts, and the fields that differ from their defaults: an option that a later
    version adds, and that a config leaves alone, changes nothing of what it is.
    """
    names = {f"{kind}.name": config[kind].name for kind in PARTS}
    usual = fields(default(**{kind: config[kind].name for kind in PARTS}))
    chosen = {n: v for n, v in fields(config).items() if v != usual[n]}
    decides = {n: v for n, v in (names | chosen).items() if n not in MAY_CHANGE_ON_RESUME}
    return json.loads(json.dumps(decides))


def load(reference: str) -> config_dict.ConfigDict:
    """Runs `get_config(variant)` of an experiment file, referred to as `FILE.py[:variant]`."""
    path, _, variant = reference.partition(":")
    config = own.call("experiment", path, "get_config", variant or None)
    if not isinstance(config, config_dict.ConfigDict):
        raise UsageError(f"get_config in {path} returned {config!r}, not a config")
    return config


def variant_of(name: str | None, choices: tuple[str, ...]) -> str:
    """An experiment's variant: the first choice when none is named. Raises UsageError."""
    if name is None:
        return choices[0]
    if name not in choices:
        raise unknown("variant", name, choices)
    return name


def fields(config: config_dict.ConfigDict, prefix: str = "") -> dict[str, Any]:
    """Dotted name -> value of every leaf of the config, in order."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, config_dict.ConfigDict):
            flat |= fields(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def differences(
    old: config_dict.ConfigDict, new: config_dict.ConfigDict
) -> dict[str, tuple[Any, Any]]:
    """Dotted name -> (old, new) for every field that differs or that one of them lacks."""
    before, after = fields(old), fields(new)
    every = dict.fromkeys([*before, *after])
    return {n: (before.get(n), after.get(n)) for n in every if before.get(n) != after.get(n)}


def to_json(config: config_dict.ConfigDict) -> dict[str, Any]:
    return json.loads(json.dumps(config.to_dict()))


def from_json(stored: dict[str, Any]) -> config_dict.ConfigDict:
    """The config that `to_json` stored, typed again by the parts' own defaults.

    Raises UsageError for what is none, or that of another version.
    """
    try:
        config = default(**{kind: stored[kind]["name"] for kind in PARTS})
        _fill(config, stored)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        said = str(error).partition(" and cannot be added")[0].strip("'\"")
        raise UsageError(
            f"the stored config does not fit this version of seqgen: {said}"
        ) from error
    return config


def _fill(section: config_dict.ConfigDict, stored: dict[str, Any]) -> None:
    for name, value in stored.items():
        if isinstance(value, dict):
            _fill(section[name], value)
        else:
            section[name] = tuple(value) if isinstance(value, list) else value
