"""Sweeps whose runs nobody trained: directories with invented records, for the tests of reports."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import config_dict

from seqgen import config as configs
from seqgen import run_directory, stored_state


def adding(**changes: Any) -> config_dict.ConfigDict:
    config = configs.default(dataset="adding", model="many_to_one", objective="likelihood")
    config.dataset.length, config.dataset.test_size = 10, 20
    config.update_from_flattened_dict(changes)
    return config


def copying() -> config_dict.ConfigDict:
    config = configs.default(dataset="copying", model="many_to_many", objective="likelihood")
    config.dataset.test_size = 20
    return config


def run(
    workdir: Path,
    config: config_dict.ConfigDict,
    valid: dict[int, float],
    test: dict[str, float] | None = None,
    *,
    status: str = "DONE",
    message: str | None = None,
    saved: dict[int, bool] | None = None,
) -> None:
    """A run directory that says it had these validation losses by step, and these test numbers.

    saved: the steps of its checkpoints, of one number each, and whether they say best.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    options = configs.options(config, "dataset")
    spec = configs.part("dataset", config.dataset.name).make(options).spec
    run_directory.write_json(workdir / "config.json", configs.to_json(config))
    run_directory.write_json(workdir / "spec.json", spec)
    run_directory.write_json(workdir / "environment.json", {"fingerprint": "0" * 64})
    train = {"loss": 2.0, "gradient_norm": 1.0, "clipped_norm": 0.5, "learning_rate": 0.01}
    records = [{"step": s, "split": "train", **train} for s in valid]
    records += [{"step": s, "split": "valid", "loss": loss} for s, loss in valid.items()]
    lines = (json.dumps(run_directory.spelled(record)) + "\n" for record in records)
    (workdir / "metrics.jsonl").write_text("".join(lines))
    (workdir / "log.txt").write_text("".join(f"line {n} of the log\n" for n in range(40)))
    run_directory.set_status(workdir, status, step=max(valid, default=0), message=message)
    for step, says_best in (saved or {}).items():
        (workdir / "checkpoints" / str(step)).mkdir(parents=True)
        body = {"step": step, "best": says_best, "meta": {}, "leaves": {}}
        stored_state.write(workdir / "checkpoints" / str(step), {"x": np.zeros(1)}, body)
    if test is not None:
        marked = [step for step, says_best in (saved or {}).items() if says_best]
        best = max(marked) if marked else min(valid, key=valid.get)
        (workdir / "evaluations").mkdir()
        stored = {"split": "test", "step": best, "changed": {}, "metrics": test}
        run_directory.write_json(workdir / "evaluations" / f"test-{best}.json", stored)


def sweep(
    workdir: Path,
    trials: list[dict[str, Any]],
    grid: str | None = "seed=0..2",
    experiment: str | None = "adding",
) -> None:
    """Its record alone; a trial's run is runs/ and its number."""
    workdir.mkdir(parents=True, exist_ok=True)
    stored = [
        {"digest": f"{number:064x}", "run": f"runs/{number}", "chosen": chosen}
        for number, chosen in enumerate(trials)
    ]
    file = "sweep.py" if grid is None else None
    record = {"experiment": experiment, "grid": grid, "file": file, "trials": stored}
    run_directory.write_json(workdir / "sweep.json", record)
