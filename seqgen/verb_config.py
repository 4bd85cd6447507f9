"""What the `--config…` flags of a verb mean: whose config they change, and what follows from it.

Each function takes the arguments of its verb and the flags it has defined; it defines those of the
config, and returns the arguments that are left to be parsed.
"""

import re
from pathlib import Path

from absl import flags

from seqgen import overrides, run
from seqgen.errors import UsageError


def names(argv: list[str]) -> set[str]:
    """The flags that are given, without what follows a dot: --config.seed=1 is --config."""
    return {argument.partition("=")[0].partition(".")[0] for argument in argv}


def of_train(argv: list[str], values: flags.FlagValues) -> list[str]:
    """An experiment's config, after which the run's directory is called; not with --group alone."""
    if "--group" in names(argv) and "--config" not in names(argv):
        return argv
    argv, reference = overrides.from_command_line(argv, values)
    values.set_default("workdir", str(Path("runs") / overrides.called(reference)))
    return argv


def of_diagnose(argv: list[str], values: flags.FlagValues) -> list[str]:
    """An experiment's config, where one is named in place of a run."""
    return overrides.from_command_line(argv, values)[0] if "--config" in names(argv) else argv


def of_sweep(argv: list[str], values: flags.FlagValues) -> list[str]:
    """The config that a sweep is around, if there is one, and its name as --experiment."""
    if "--experiment" in names(argv):
        raise UsageError("sweep has no --experiment: its config is --config=FILE.py[:variant]")
    argv, reference = [re.sub(r"^--slurm\.", "--slurm=", a) for a in argv], None
    if "--config" in names(argv):
        argv, reference = overrides.from_command_line(argv, values)
    flags.DEFINE_string("experiment", reference, "what --config names", flag_values=values)
    return argv


def of_evaluate(argv: list[str], values: flags.FlagValues) -> list[str]:
    """The stored config of the run, whose data alone may be changed."""
    if any(argument.partition("=")[0] == "--config" for argument in argv):
        raise UsageError(
            "evaluate reads the run's own config and takes only --config.dataset.FIELD=VALUE"
        )
    values(argv, known_only=True)  # the run's config says which overrides there are
    if values.workdir is None:
        return argv
    return overrides.define_overrides(run.load(values.workdir).config, argv, values)


def as_given(argv: list[str], values: flags.FlagValues) -> list[str]:
    """Of a verb that takes no config."""
    del values
    return argv


OF_EXPERIMENT = """
  --config=FILE[:VARIANT]: the experiment
  --config.FIELD=VALUE: changes a field of it, such as --config.optimizer.learning_rate=1e-3"""
HELP = {  # on the flags that a function above defines
    of_train: OF_EXPERIMENT,
    of_diagnose: OF_EXPERIMENT,
    of_sweep: OF_EXPERIMENT,
    of_evaluate: "\n  --config.dataset.FIELD=VALUE: other data of the same dataset",
}
