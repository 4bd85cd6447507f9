"""How well an evaluation tells a class that a model never saw from those it was trained on.

Each example has scores, larger for what is less like the data: half its squared distance from what
is made of it again and, where there is a likelihood, minus two bounds on its logarithm. A threshold
is set by the validation split, which has regular examples alone, so that a new regular one raises a
false alarm with a probability of at most `ALPHA`. That holds where validation and test are drawn
alike (MNIST's test set has other writers), and for a checkpoint that was not chosen by the same
split: with config.monitor=None, or the latest.
"""

from pathlib import Path
from typing import Any

import numpy as np

from seqgen import pictures, run_directory
from seqgen.details import Details
from seqgen.metrics import Meaning, detection, intervals
from seqgen.metrics.bootstrap import LEVEL
from seqgen.run import Run

ALPHA = 0.05  # of regular examples may raise an alarm
NUMBERS = {  # of each score
    "auroc": Meaning("", larger_is_better=True),
    "average_precision": Meaning("", larger_is_better=True),
    "false_alarms": Meaning("", larger_is_better=False),
    "detections": Meaning("", larger_is_better=True),
}
Scores = dict[str, np.ndarray]  # name -> [N]


def score_names(run: Run) -> tuple[str, ...]:
    """Of a run whose data have a held-out class; else none."""
    if "held_out" not in run.spec:
        return ()
    return ("squared_error", *(("elbo", "iwae") if "elbo" in run.objective.reports else ()))


def reports(run: Run) -> dict[str, Meaning]:
    """What the evaluations of such a run add."""
    return {f"{n}_{score}": m for score in score_names(run) for n, m in NUMBERS.items()}


def both_kinds(run: Run, targets_N: np.ndarray) -> bool:
    """Whether there are regular and anomalous examples, two of each at least."""
    count = int(np.sum(targets_N == run.spec["held_out"]))
    return 2 <= count <= len(targets_N) - 2


def describe(
    run: Run, scores: Scores, targets_N: np.ndarray, calibration: Scores, path: Path
) -> Details:
    """What the scores are worth; draws them, PATH-anomalies.png.

    Args:
      scores: of the split's examples, whose classes are the targets.
      calibration: of the validation split's.
    """
    anomalous_N = targets_N == run.spec["held_out"]
    numbers, facts, panels = {}, {}, []
    for name, scores_N in scores.items():
        sets = scores_N[~anomalous_N], scores_N[anomalous_N], calibration[name]
        if not all(np.isfinite(each).all() for each in sets):
            numbers |= {f"{number}_{name}": float("nan") for number in NUMBERS}
            continue
        found, threshold = judged(*sets)
        numbers |= {f"{number}_{name}": found[number].value for number in NUMBERS}
        facts[name] = {number: one._asdict() for number, one in found.items()} | {
            "threshold": threshold._asdict()
            | {"value": threshold.value if np.isfinite(threshold.value) else None}
        }
        panels.append(pictures.Scores(name.replace("_", " "), *sets[:2], threshold.value))
    held_out = str(run.spec["classes"][run.spec["held_out"]])
    if panels:
        title = f"{path.name}: held out {held_out}, threshold for {ALPHA:.0%} of false alarms"
        drawn = pictures.histograms(panels, title)
        run_directory.write_bytes(path.with_name(f"{path.name}-anomalies.png"), drawn)
    told: dict[str, Any] = {
        "held_out": held_out,
        "n_regular": int(np.sum(~anomalous_N)),
        "n_anomalous": int(np.sum(anomalous_N)),
        "level": LEVEL,
        "checkpoint_chosen_by": run.config.monitor,  # of the validation split; None: not by it
        "scores": facts,
    }
    return Details(numbers, {"anomalies": told}, "")


def judged(
    regular_N: np.ndarray, anomalous_M: np.ndarray, calibration_C: np.ndarray
) -> tuple[dict[str, intervals.Estimate], detection.Threshold]:
    """Each of `NUMBERS` with its interval, and the threshold of the last two."""
    threshold = detection.conformal_threshold(calibration_C, ALPHA)
    alarms = [int(np.sum(each > threshold.value)) for each in (regular_N, anomalous_M)]
    return {
        "auroc": detection.auroc(regular_N, anomalous_M),
        "average_precision": detection.average_precision(regular_N, anomalous_M),
        "false_alarms": intervals.share(alarms[0], len(regular_N)),
        "detections": intervals.share(alarms[1], len(anomalous_M)),
    }, threshold
