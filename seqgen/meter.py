"""What training measures, collected behind the device's back, logged and shown.

`train.py` hands over every call's metrics; `metrics.jsonl` gets a record each `log_every` steps.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from seqgen.config import RunOptions
from seqgen.errors import Failure
from seqgen.event_files import EventFiles
from seqgen.metrics import Meaning, described
from seqgen.progress import Progress, duration
from seqgen.run_directory import MetricsLog


class Meter:
    """Collects what the steps measured, one call behind, so that the device never waits."""

    def __init__(
        self,
        options: RunOptions,
        unit: str | None,
        reports: dict[str, Meaning],
        logs: Sequence[MetricsLog | EventFiles],
        progress: Progress,
    ) -> None:
        self._options, self._unit, self._logs, self._progress = options, unit, logs, progress
        self._reports = reports
        self._pending: tuple[int, dict[str, jax.Array]] | None = None
        self._collected: list[dict[str, np.ndarray]] = []
        self._clock: tuple[float, int] | None = None  # when the last record was made, at which step

    def add(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Takes a call's metrics, and reads those of the call before."""
        pending, self._pending = self._pending, (step, metrics)
        if pending is not None:
            self._read(*pending)

    def flush(self) -> None:
        if self._pending is not None:
            pending, self._pending = self._pending, None
            self._read(*pending)

    def report(self, split: str, step: int, metrics: dict[str, Any], sentence: str = "") -> None:
        """Logs the numbers of an evaluation, and says them with the sentence, if there is one."""
        self._write({"step": step, "split": split, **metrics})
        remark = f" ({sentence})" if sentence else ""
        self._progress.say(f"step {step}  {split}: {described(metrics, self._reports)}{remark}")
        self._clock = (time.monotonic(), step)  # the next rate must not count the evaluation

    def _read(self, step: int, metrics: dict[str, jax.Array]) -> None:
        self._collected.append(jax.device_get(metrics))
        skipped = int(np.max(self._collected[-1]["nonfinite"]))
        if skipped >= self._options.max_nonfinite:
            raise Failure(
                f"the loss or a gradient was not finite in {skipped} steps in a row, by step "
                f"{step}; what was saved before is intact: try a lower learning rate, or clipping"
            )
        if self._clock is None:  # the first call compiles: it says nothing about the rate
            self._clock = (time.monotonic(), step)
        if step % self._options.log_every == 0:
            self._record(step)

    def _record(self, step: int) -> None:
        values = {n: np.concatenate([c[n] for c in self._collected]) for n in self._collected[0]}
        self._collected = []
        record = {name: finite_mean(value) for name, value in values.items() if name != "nonfinite"}
        record["steps"] = values["nonfinite"].size  # fewer than log_every after a resume in between
        record["skipped"] = int(np.sum(values["nonfinite"] > 0))
        record["learning_rate"] = float(values["learning_rate"][-1])
        now, (then, step_then) = time.monotonic(), self._clock
        self._clock = (now, step)
        if step > step_then:
            rate = (step - step_then) / (now - then)
            record["steps_per_second"] = rate
            record["targets_per_second"] = rate * record["weight"]
        self._write({"step": step, "split": "train", **record})
        self._progress.show(self._line(step, record))

    def _write(self, record: dict[str, Any]) -> None:
        for log in self._logs:
            log.write(record)

    def _line(self, step: int, record: dict[str, float]) -> str:
        loss = described({"loss": record["loss"]}, self._reports)
        parts = [f"step {step}/{self._options.num_steps}", loss]
        if self._unit == "character":
            parts.append(f"{record['loss'] / math.log(2):.3f} bits/char")
        if "steps_per_second" in record:
            noun = "tokens" if self._unit else "targets"
            left = (self._options.num_steps - step) / record["steps_per_second"]
            parts += [f"{record['targets_per_second']:,.0f} {noun}/s", f"{duration(left)} left"]
        return "  ".join(parts)


def finite_mean(values: np.ndarray) -> float:
    """The mean over the steps that were not skipped."""
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if finite.size else math.nan
