"""Several runs of one process: those that a file lists, or one config's with several seeds.

A file has the directory of one run a line, relative to its own; each holds its config.json, whether
or not it has begun. `lanes.py` trains them.
"""

from pathlib import Path

from ml_collections import config_dict

from seqgen import backend, environment, lanes, trials
from seqgen import config as configs
from seqgen.errors import UsageError
from seqgen.session import stored_config


def read(file: Path) -> list[Path]:
    """The run directories that a file lists. Raises UsageError, with the place."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise UsageError(f"{file} can't be read: {reason}") from error
    found = [
        (number, (file.parent / line.strip()).resolve())
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not found:
        raise UsageError(f"{file} lists no run directory")
    for number, workdir in found:
        if not (workdir / "config.json").exists():
            raise UsageError(f"{file}:{number}: {workdir} holds no run: config.json is missing")
    return [workdir for _, workdir in found]


def train_group(file: Path, *, compilation_cache: bool = True) -> None:
    """Trains every run that a file lists and that is not done; errors as of `lanes.train`.

    One whose config can't be read or is bad fails alone.
    """
    backend.start(environment.cores(), compilation_cache=compilation_cache)
    all_configs, workdirs = [], []
    refused: dict[Path, Exception] = {}
    for workdir in read(file):
        try:
            config = stored_config(workdir)
            configs.validate(config)
        except UsageError as error:
            refused[workdir] = error
        else:
            all_configs.append(config)
            workdirs.append(workdir)
    lanes.train(all_configs, workdirs, refused=refused, compilation_cache=compilation_cache)


def train_seeds(
    config: config_dict.ConfigDict, workdir: Path, *, compilation_cache: bool = True
) -> None:
    """Trains `config.seeds` runs with seeds from `config.seed` on, each in WORKDIR/seed_N."""
    if config.seeds < 1:
        raise UsageError(f"seeds must be at least 1, not {config.seeds}")
    if (workdir / "config.json").exists():
        raise UsageError(f"{workdir} holds a run itself: give another --workdir for those of seeds")
    if (workdir / "sweep.json").exists():
        raise UsageError(f"{workdir} holds a sweep: give another --workdir for the runs of seeds")
    backend.start(environment.cores(), compilation_cache=compilation_cache)
    all_configs = []
    for seed in range(config.seed, config.seed + config.seeds):
        own = config.copy_and_resolve_references()
        own.seed, own.seeds = seed, None
        all_configs.append(own)
    workdirs = [trials.of_seed(workdir, own.seed) for own in all_configs]
    lanes.train(all_configs, workdirs, compilation_cache=compilation_cache)
