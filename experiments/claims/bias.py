"""What is rare in the data is rarer in what is generated from them.

python launch.py study --claim=bias
Lecture notes, 3.2: "the generated data then may have bias". Points on a ring of eight clusters, one
of which has 20, 10, 5 or 1 % of them, the others equal shares of the rest. A GAN
(`ring_gan.py:quick`) and a variational autoencoder, 3 seeds: of 10,000 generated points the
share nearest to that cluster, as a part of its real share; and how often a classifier taught by
500 generated points, each of its nearest cluster, is right about real points of the rare cluster
and of the others. Only the GAN at 1 % decides.

INCONCLUSIVE, in 24 minutes on one CPU core, the other busy: the GAN's share is 1.08 times the real
one (0.76 to 1.41) at 1 %, and 1.00, 0.98 and 1.00 times at 5, 10 and 20 %. The autoencoder, with
one latent number, has bias: 0.07 times at 1 % (-0.01 to 0.15), 0.74, 0.75 and 2.8 times at the
others; a classifier taught by it takes no point of the 1 % for what it is.
"""

from pathlib import Path

import numpy as np
from ml_collections import config_dict

from seqgen import claims, config, evidence, pictures
from seqgen.datasets import points
from seqgen.metrics import probe
from seqgen.metrics.samples import squared_distances

SHARES, SEEDS, TAUGHT = (0.2, 0.1, 0.05, 0.01), 3, 500
CHECKS = (claims.Check("generated ÷ real share of a cluster of 1 %, GAN", 1.0, above=False),)
RATIO = "generated ÷ real share"


def get_claim() -> claims.Claim:
    game = config.load(f"{Path(__file__).parents[1]}/ring_gan.py:quick")
    runs = {}
    for share in SHARES:
        for name, one in (("gan", game), ("vae", ring_vae())):
            runs |= claims.over_seeds((name, share), one, {"dataset.rare": share}, SEEDS)
    sentence = "a GAN makes fewer examples of a rare group than its share of the data"
    return claims.Claim(sentence, 24.0, runs, CHECKS, measure, conclude)


def ring_vae() -> config_dict.ConfigDict:
    c = config.default(dataset="points", model="vae", objective="elbo")
    c.model.encoder_sizes = c.model.decoder_sizes = (256, 256)
    c.model.likelihood, c.model.latent_size = "gaussian", 1  # a code is shorter than its example
    c.num_steps = c.eval_every = 4000
    c.objective.evaluation_samples = 100
    c.optimizer.rule, c.optimizer.learning_rate, c.optimizer.schedule = "adam", 1e-3, "cosine"
    return c


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    real, class_N = evidence.examples(runs[key], "test")
    made = evidence.generated(runs[key], class_N, 0)
    centres_M2 = points.SHAPES["ring"].centres
    near_N = squared_distances(made.astype(float), centres_M2).argmin(axis=1)
    said_N = probe.classes(made[:TAUGHT], near_N[:TAUGHT], real)
    rare_N = class_N == 0
    return {
        RATIO: float(np.mean(near_N == 0)) / key[1],
        "accuracy on the rare cluster": float(np.mean(said_N[rare_N] == 0)),
        "accuracy on the others": float(np.mean(said_N[~rare_N] == class_N[~rare_N])),
    }


def conclude(rows: claims.Rows) -> claims.Finding:
    ratios = claims.estimates(rows, RATIO)
    lines = {name: {100 * s: ratios[name, s] for s in reversed(SHARES)} for name in ("gan", "vae")}
    across, title = "real share, %", f"the rare cluster of a ring, {SEEDS} seeds"
    picture = pictures.curves(lines, across, RATIO, title, doubling=True)
    return claims.Finding((ratios["gan", SHARES[-1]],), picture)
