"""The runs of one job of a sweep: `launch.py train --group=FILE`."""

from pathlib import Path

from seqgen import backend, environment, run_directory, train
from seqgen import config as configs
from seqgen.errors import Failure, UsageError


def read(file: Path) -> list[Path]:
    """The run directories that a file lists, one a line, from its own directory."""
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        raise UsageError(f"--group={file}: {error.strerror}") from error
    runs = [file.parent / line for line in map(str.strip, lines) if line]
    if not runs:
        raise UsageError(f"--group={file} lists no run directory")
    return runs


def train_group(file: Path, *, compilation_cache: bool) -> None:
    """Trains the runs one after the other. Raises Failure in the end where some failed."""
    runs, failed = read(file), []
    if len(runs) > 1:  # as many devices as any of them may use
        backend.start(environment.cores(), compilation_cache=compilation_cache)
    for run in runs:
        config = configs.from_json(run_directory.read_json(run / "config.json", configs.PARTS))
        try:
            train.train(config, run, compilation_cache=compilation_cache)
        except (Failure, UsageError) as error:
            if len(runs) == 1:
                raise
            failed.append(f"{run}: {error}")
    if failed:
        raise Failure("; ".join(failed))
