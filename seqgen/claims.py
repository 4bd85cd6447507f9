"""What a claim is, and when it stands: a sentence, its runs, what is measured, thresholds.

The files of `experiments/claims/` are made of this; `study.py` trains their runs and decides. No
input or output here, but for the experiments that claims are made of.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from ml_collections import config_dict

from seqgen import config as configs
from seqgen.errors import UsageError
from seqgen.evidence import Evidence
from seqgen.metrics.intervals import Estimate, over_runs

SUPPORTED, REFUTED, INCONCLUSIVE = "SUPPORTED", "REFUTED", "INCONCLUSIVE"
Key = tuple[str | float, ...]  # what is compared, such as ("gan", 64), and last the run's seed
Rows = dict[Key, dict[str, float]]  # what was measured of each run


class Check(NamedTuple):
    """What the claim says of one statistic: on which side of a threshold it lies."""

    statistic: str
    threshold: float
    above: bool


class Finding(NamedTuple):
    """What the runs say."""

    statistics: tuple[Estimate, ...]  # one for each check, in their order
    picture: bytes  # a PNG


class Reference(NamedTuple):
    """A number to stand beside ours: a published one, or what knowing nothing gives."""

    of: str
    value: float
    source: str


class Claim(NamedTuple):
    """A sentence, and all that decides about it.

    minutes: of all runs together, as measured where the file says; None where that was not done.
    measure: (key of a run, all runs) -> numbers of that run.
    conclude: what was measured -> the statistics, with intervals over the runs' seeds.
    """

    sentence: str
    minutes: float | None
    runs: dict[Key, config_dict.ConfigDict]
    checks: tuple[Check, ...]
    measure: Callable[[Key, dict[Key, Evidence]], dict[str, float]]
    conclude: Callable[[Rows], Finding]
    references: tuple[Reference, ...] = ()


def over_seeds(
    name: tuple[str | float, ...],
    config: config_dict.ConfigDict,
    changes: dict[str, Any],
    seeds: int,
    first: int = 0,
) -> dict[Key, config_dict.ConfigDict]:
    """An experiment's config, some of its fields changed, once for each seed from `first` on."""
    found = {}
    for seed in range(first, first + seeds):
        found[*name, seed] = configs.from_json(configs.to_json(config))  # a copy, its types kept
        found[*name, seed].update_from_flattened_dict(changes | {"seed": seed})
    return found


def each_seed(rows: Rows, number: str) -> dict[Key, list[float]]:
    """What is compared -> the number of each of its runs, in the order of their seeds.

    Raises UsageError where some of the runs lack it: a mean of the others would hide that.
    """
    found: dict[Key, list[float]] = {}
    for key in sorted(rows, key=lambda key: key[-1]):
        if number in rows[key]:
            found.setdefault(key[:-1], []).append(rows[key][number])
    for name, values in found.items():
        if len(values) < sum(key[:-1] == name for key in rows):
            raise UsageError(f"some runs of {' '.join(map(str, name))} have no {number}")
    return found


def estimates(rows: Rows, number: str) -> dict[Key, Estimate]:
    """What is compared -> the mean over its runs, with its interval."""
    return {name: over_runs(values) for name, values in each_seed(rows, number).items()}


def judged(check: Check, found: Estimate) -> str:
    """Decided where the whole interval lies on one side of the threshold."""
    above, below = found.low > check.threshold, found.high < check.threshold
    if not (above or below):  # NaN is on neither side
        return INCONCLUSIVE
    return SUPPORTED if above == check.above else REFUTED


def together(words: list[str]) -> str:
    """A claim stands with all of its checks, and falls with one of them."""
    if REFUTED in words:
        return REFUTED
    return INCONCLUSIVE if INCONCLUSIVE in words else SUPPORTED
