"""Can we use GANs to generate more training data?

python launch.py study --claim=augment
Lecture notes, 3.2, which ask it. A GAN of digits, told the class, is trained on n real pictures and
makes n more. A classifier without anything to tune (`metrics/probe.py`) learns from the n real,
from both together, from the generated ones alone, and, as the most that n more could bring, from 2n
real pictures; held-out accuracy, mean over 5 sets of generated pictures, 3 seeds of the GAN. The
fewest n, 64, where help is needed most, decide. All seeds have the same n pictures, so the
intervals do not tell how much a choice of those would matter.

INCONCLUSIVE, in 13 minutes on one CPU core, the other busy: with 64 real digits accuracy is 90.0 %,
with as many generated ones 89.8 %, a change of -0.0019 (-0.0040 to 0.0003); with the generated ones
alone 86.2 %, and with 64 more real ones 95.3 %.

Decided by the mean over all n, of the seeds 0 to 2, it was INCONCLUSIVE: -0.002 (-0.005 to 0.001).
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics import probe
from seqgen.metrics.intervals import over_runs

SIZES, SEEDS, SETS = (64, 128, 256, 512), 3, 5
FEW = SIZES[0]
CHECKS = (claims.Check(f"accuracy with n generated minus without, n = {FEW}", 0.0, above=True),)
NUMBERS = ("n real", "n real, n generated", "n generated", "2n real")


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/digits_gan.py"), {}
    for size in SIZES:
        runs |= claims.over_seeds((size,), experiment, {"dataset.train_size": size}, SEEDS)
    sentence = (
        "a classifier taught by few real pictures is better for those that a GAN made of them"
    )
    return claims.Claim(sentence, 13.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    one, size = runs[key], key[0]
    whole, whole_classes = evidence.examples(evidence.whole(one), "train")
    real, class_N = evidence.examples(one, "train")
    test, asked_K = evidence.examples(one, "test")

    def accuracy(pictures: list[np.ndarray], classes: list[np.ndarray]) -> float:
        said_K = probe.classes(np.concatenate(pictures), np.concatenate(classes), test)
        return float(np.mean(said_K == asked_K))

    mixed, alone = [], []
    for seed in range(SETS):
        made = evidence.generated(one, class_N, seed)
        mixed.append(accuracy([real, made], [class_N, class_N]))
        alone.append(accuracy([made], [class_N]))
    twice = accuracy([whole[: 2 * size]], [whole_classes[: 2 * size]])
    means = (float(np.mean(mixed)), float(np.mean(alone)))
    return dict(zip(NUMBERS, (accuracy([real], [class_N]), *means, twice), strict=True))


def conclude(rows: claims.Rows) -> claims.Finding:
    mixed, plain = (claims.each_seed(rows, n)[FEW,] for n in ("n real, n generated", "n real"))
    lines = {
        number: {size: e for (size,), e in claims.estimates(rows, number).items()}
        for number in NUMBERS
    }
    title = f"a classifier of digits taught by generated ones, {SEEDS} seeds"
    picture = pictures.curves(lines, "n", "held-out accuracy", title, doubling=True)
    return claims.Finding((over_runs(np.subtract(mixed, plain)),), picture)
