"""The main effects of a sweep's fields: what each value makes of a number, all else the same."""

import collections
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from seqgen.metrics.intervals import Estimate
from seqgen.sweep_results import SEED, Results, Setting, done, over, values

Block = dict[str, float]  # value -> the watched number of the trial with it
Blocks = dict[tuple[Any, Setting], Block]  # of one seed and one setting of the other fields
ENOUGH = 0.5  # of the blocks of the commonest value: one with fewer is not compared


class Effect(NamedTuple):
    """What a field's values make of the watched number, all else the same."""

    means: dict[str, float]  # of each value, over the same settings and seeds
    deviations: dict[str, Estimate]  # from the mean of all values, with the interval
    compared: int  # settings of the other fields


NONE = Effect({}, {}, 0)


def effect(results: Results, field: str) -> Effect:
    """A field's main effect on the watched number, by trials that differ in nothing else.

    A block is the trials of one seed and one setting of the other fields; it counts where it is
    done with every value that is compared. A trial's deviation is from the mean of its block, so
    that the interval is free of what the other fields do and of blocks that are missing: it is over
    means of seeds, and where there is but one seed over the settings, as if they had been drawn.
    """
    blocks = of_field(results, field)
    labels = enough(blocks, [str(value) for value in values(done(results), field)])
    whole = {key: block for key, block in blocks.items() if set(labels) <= set(block)}
    if len(labels) < 2 or not whole:
        return NONE
    units: dict[Any, list[Block]] = {}
    over_seeds = len({seed for seed, _ in whole}) > 1
    for (seed, others), block in whole.items():
        middle = mean(block[value] for value in labels)
        unit = units.setdefault(seed if over_seeds else others, [])
        unit.append({value: block[value] - middle for value in labels})
    return Effect(
        {v: mean(block[v] for block in whole.values()) for v in labels},
        {v: over([mean(d[v] for d in own) for own in units.values()]) for v in labels},
        len({others for _, others in whole}),
    )


def of_field(results: Results, field: str) -> Blocks:
    found: Blocks = {}
    for one in done(results):
        others = tuple((n, v) for n, v in one.setting if n != field)
        block = found.setdefault((one.chosen.get(SEED), others), {})
        block[str(one.chosen.get(field))] = one.best
    return found


def enough(blocks: Blocks, labels: list[str]) -> list[str]:
    """The values that are in enough blocks: one with few would leave but those few to compare."""
    count = collections.Counter(value for block in blocks.values() for value in block)
    most = max(count.values(), default=0)
    return [value for value in labels if count[value] >= ENOUGH * most]


def left_out(results: Results, field: str) -> list[Any]:
    """The values of a field that are not compared, since too few trials with them are done."""
    labels = [str(value) for value in values(done(results), field)]
    known = enough(of_field(results, field), labels)
    return [value for value in values(results.trials, field) if str(value) not in known]


def mean(numbers: Iterable[float]) -> float:
    numbers = list(numbers)
    return math.fsum(numbers) / len(numbers)
