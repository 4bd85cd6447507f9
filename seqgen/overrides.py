"""What the command line says of a config: which experiment, and which of its fields are others."""

import types
import typing
from pathlib import Path

from absl import flags
from ml_collections import config_dict, config_flags

from seqgen import config as configs
from seqgen.errors import UsageError, unknown_field


def override(config: config_dict.ConfigDict, name: str, text: str) -> None:
    """Checks the name of a command-line override and sets `None`, which flags can't express.

    Raises UsageError for an unknown field and for a part's own name.
    """
    known = configs.fields(config)
    if name not in known:
        raise unknown_field(name, known)
    if name in {f"{kind}.name" for kind in configs.PARTS}:
        raise UsageError(
            f"config.{name} can't be overridden: choose the part in an experiment file or one of "
            "its variants (--config=FILE.py:VARIANT)"
        )
    if text == "None":
        section, _, leaf = name.rpartition(".")
        kind = configs.options_of(config, section) if section else configs.RunOptions
        if types.NoneType not in typing.get_args(typing.get_type_hints(kind)[leaf]):
            raise UsageError(f"config.{name} can't be None")
        (config[section] if section else config)[leaf] = None


def from_command_line(argv: list[str], values: flags.FlagValues) -> tuple[list[str], str]:
    """Loads the experiment that `--config=FILE.py[:variant]` names, and defines its override flags.

    Returns the arguments that remain to be parsed, and how the experiment was named.
    """
    named = flags.FlagValues()
    named.set_gnu_getopt(True)  # the other flags may come first, and have values apart
    flags.DEFINE_multi_string("config", [], "the experiment", flag_values=named)
    rest = named(argv, known_only=True)
    if len(named.config) != 1:
        raise UsageError("name one experiment: --config=experiments/NAME.py[:variant]")
    (reference,) = named.config
    return define_overrides(configs.load(reference), rest, values), reference


def called(reference: str) -> str:
    """What the directory of an experiment's run is called by default."""
    file, _, variant = reference.partition(":")
    return "-".join(filter(None, (Path(file).stem, variant)))


def define_overrides(
    config: config_dict.ConfigDict, argv: list[str], values: flags.FlagValues
) -> list[str]:
    """Defines a flag for each `--config.field=value` among the arguments, the field's name checked.

    Returns the arguments that remain to be parsed; then `values.config` has them applied.
    """
    rest = []
    for argument in argv:
        name, _, value = argument.partition("=")
        if name.startswith("--config."):
            override(config, name.removeprefix("--config."), value)
            if value == "None":
                continue
        rest.append(argument)
    config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=rest)
    return rest
