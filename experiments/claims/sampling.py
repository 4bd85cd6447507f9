"""A plain autoencoder reconstructs, but a variational one makes better new examples.

python launch.py study --claim=sampling
Lecture notes, 3.1: an autoencoder compresses; "to generate new images, we use stochastic things
like mean and variance": the variational one. Both with codes of 10 numbers and the same networks,
digits, 5 seeds. The plain one decodes draws of a normal distribution with its codes' mean and
covariance, the other one draws of its prior (the mean of p(x | z), without noise on the pixels). A
classifier test tells either from 360 held-out pictures: mean accuracy of 5 sets of samples of each
run. The 360 pictures are the same for all runs; the most that their own chance can be is in the
interval.

INCONCLUSIVE, in 3 minutes on one CPU core, the other busy: the autoencoder loses 15.7 % of the
variance (15.3 to 16.1 %), and its samples are told apart less often, 82.2 % against 84.1 %: -2.0
(-5.1 to 1.2) points.

Without that chance it was REFUTED: -2.0 (-3.5 to -0.4) points. What is sampled decides: codes with
the covariance of those of the data.
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics import two_sample
from seqgen.metrics.intervals import over_runs, shared

SEEDS, SETS, HELD_OUT = 5, 5, 360
CHECKS = (
    claims.Check("share of the variance that the autoencoder loses", 0.25, above=False),
    claims.Check("accuracy of telling its samples minus that of the VAE's", 0.0, above=True),
)


def get_claim() -> claims.Claim:
    folder = Path(__file__).parents[1]
    same = {"model.latent_size": 10}
    same |= {"model.encoder_sizes": (128,), "model.decoder_sizes": (128,)}
    few = {"objective.evaluation_samples": 100}  # of the likelihood, which is not asked here
    runs = claims.over_seeds(("autoencoder",), config.load(f"{folder}/digits_ae.py"), same, SEEDS)
    runs |= claims.over_seeds(("vae",), config.load(f"{folder}/digits_vae.py"), same | few, SEEDS)
    sentence = (
        "a plain autoencoder reconstructs digits, and what it decodes from a Gaussian is told from "
        "real ones more easily than a variational autoencoder's samples"
    )
    return claims.Claim(sentence, 3.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    real, class_N = evidence.examples(runs[key], "test")
    right = [
        two_sample.classifier(real, evidence.generated(runs[key], class_N, seed), seed=seed)
        for seed in range(SETS)
    ]
    lost = np.sum((real - evidence.remade(runs[key], real)) ** 2)
    return {
        "accuracy of telling": float(np.mean([test.accuracy.value for test in right])),
        "share lost": float(lost / (len(real) * real.var(axis=0).sum())),
    }


def conclude(rows: claims.Rows) -> claims.Finding:
    told = claims.each_seed(rows, "accuracy of telling")
    share = np.clip(np.mean(list(told.values())), 0, 1)
    # half of what is asked about are the real ones; as if both models met others of them
    of_real = 0.5 * np.sqrt(2 * share * (1 - share) / HELD_OUT)
    difference = shared(over_runs(np.subtract(told["autoencoder",], told["vae",])), of_real)
    lines = {
        number: {name: e for (name,), e in claims.estimates(rows, number).items()}
        for number in ("accuracy of telling", "share lost")
    }
    title = f"digits, codes of 10 numbers, {SEEDS} seeds"
    picture = pictures.curves(lines, "", "share", title, doubling=False)
    return claims.Finding(
        (claims.estimates(rows, "share lost")["autoencoder",], difference), picture
    )
