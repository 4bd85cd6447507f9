"""An autoencoder's code of d numbers loses part of the picture, and the less the larger d is.

python launch.py study --claim=compression
Lecture notes, 3.1: the code "has less dimension than x (d is less than D)", "like a compression",
and "we lose information while compression". Half the squared distance ½|x - x'|² of held-out digits
(D = 64) against d, 3 seeds; beside it that of principal components, the best that straight networks
can do on the training data.

SUPPORTED, in 4 minutes on one CPU core: the error falls from 1.48 (d = 1) to 0.067 (d = 32); of
doublings of d the least useful leaves 0.69 of it (0.58 to 0.79); with 32 numbers 2.7 % of the
variance are lost (2.5 to 2.9 %).
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics.intervals import over_runs
from seqgen.metrics.samples import checked

SIZES = (1, 2, 4, 8, 16, 32)
CHECKS = (
    claims.Check("largest ratio of an error to that of half as many numbers", 1.0, above=False),
    claims.Check("share of the variance that is lost with 32 numbers", 0.01, above=True),
)


def get_claim() -> claims.Claim:
    experiment, runs = config.load(f"{Path(__file__).parents[1]}/digits_ae.py"), {}
    for size in SIZES:
        runs |= claims.over_seeds((size,), experiment, {"model.latent_size": size}, 3)
    sentence = "an autoencoder's error falls with the size of its code, and never to nothing"
    return claims.Claim(sentence, 4.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    sets = {split: evidence.examples(runs[key], split)[0] for split in ("train", "test")}
    train_NF, test_NF = checked(**sets)
    away_NF = test_NF - train_NF.mean(axis=0)
    _, _, axes_FF = np.linalg.svd(train_NF - train_NF.mean(axis=0), full_matrices=False)
    missed_N = np.sum(away_NF**2, axis=1) - np.sum((away_NF @ axes_FF[: key[0]].T) ** 2, axis=1)
    error = evidence.measured(runs[key])["loss"]
    return {
        "error": error,
        "error of principal components": 0.5 * float(missed_N.mean()),
        "share lost": 2 * error / float(test_NF.var(axis=0).sum()),
    }


def conclude(rows: claims.Rows) -> claims.Finding:
    of_size = claims.each_seed(rows, "error")
    errors_DS = np.asarray([of_size[size,] for size in SIZES])
    largest_S = np.max(errors_DS[1:] / errors_DS[:-1], axis=0)
    lost = claims.estimates(rows, "share lost")[SIZES[-1],]
    lines = {
        number: {size: e for (size,), e in claims.estimates(rows, number).items()}
        for number in ("error", "error of principal components")
    }
    across, title = "d, numbers of the code", "held-out digits, 64 numbers, 3 seeds"
    picture = pictures.curves(lines, across, "½|x - x'|²", title, doubling=True)
    return claims.Finding((over_runs(largest_S), lost), picture)
