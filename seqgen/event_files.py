"""`tensorboard/`: what `metrics.jsonl` says, for those who watch their runs in TensorBoard."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seqgen import run_directory
from seqgen.errors import require


class EventFiles:
    """The event files of a run, open for one attempt.

    Every attempt writes them anew from the run's records, so that no step is there twice. Raises
    UsageError where tensorboardX is not installed.
    """

    def __init__(self, workdir: Path) -> None:
        writer = require("tensorboardX", "tensorboard").SummaryWriter
        folder = workdir / "tensorboard"
        shutil.rmtree(folder, ignore_errors=True)
        self._writer = writer(str(folder), flush_secs=10)
        for record in run_directory.read_metrics(workdir):
            self.write(record)

    def __enter__(self) -> "EventFiles":
        return self

    def __exit__(self, *_: object) -> None:
        self._writer.close()

    def write(self, record: Mapping[str, Any]) -> None:
        """Adds one record, its numbers as loss/train, loss/valid and so on; words are left out."""
        for name, value in record.items():
            if name not in ("step", "split") and not isinstance(value, str):
                self._writer.add_scalar(f"{name}/{record['split']}", float(value), record["step"])
