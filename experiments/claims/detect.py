"""That a picture is generated can be told, also if it was altered or comes from another generator.

python launch.py study --claim=detect
Lecture notes, 3.2: "we can easily catch it is fake"; "tell that the content generated is fake". A
detector (`metrics/probe.py`) learns from 270 held-out digits and 270 that a GAN made, and is asked
about 270 others of each: as they are, with noise on them, halved in size and enlarged again, and
with a variational autoencoder's pictures instead of the GAN's; against the n pictures that the GAN
was trained on, 3 seeds. The four with all training pictures decide. All seeds are asked about the
same 270 real digits, whose own chance is in the intervals too.

INCONCLUSIVE, in 4 minutes on one CPU core after `augment`, with which it shares six of twelve runs:
right on 72.5 % (68.5 to 76.5 %), with noise 64.0 % (59.7 to 68.3 %), of the other generator 63.8 %
(59.8 to 67.7 %), but resampled on 52.5 % (48.7 to 56.2 %). From 64 pictures it is 94.4 %.

Without the chance of the real digits all four were SUPPORTED.
"""

from pathlib import Path

import numpy as np

from seqgen import claims, config, evidence, pictures
from seqgen.metrics import intervals, probe

SIZES, ALL, SEEDS, TAUGHT, NOISE = (64, 256), 1257, 3, 270, 0.1
NUMBERS = ("as they are", "with noise", "resampled", "of another generator")
CHECKS = tuple(claims.Check(f"accuracy on pictures {n}, GAN", 0.5, above=True) for n in NUMBERS)


def get_claim() -> claims.Claim:
    folder = Path(__file__).parents[1]
    game, runs = config.load(f"{folder}/digits_gan.py"), {}
    for size in SIZES:
        runs |= claims.over_seeds(("gan", size), game, {"dataset.train_size": size}, SEEDS)
    runs |= claims.over_seeds(("gan", ALL), game, {}, SEEDS)
    few = {"objective.evaluation_samples": 100}  # of the likelihood, which is not asked here
    vae = config.load(f"{folder}/digits_vae.py:conditional")
    runs |= claims.over_seeds(("vae", ALL), vae, few, SEEDS)
    sentence = (
        "a classifier tells generated digits from real ones, also after noise or resampling, and "
        "also those of a generator that it has not seen"
    )
    return claims.Claim(sentence, 11.0, runs, CHECKS, measure, conclude)


def measure(key: claims.Key, runs: dict[claims.Key, evidence.Evidence]) -> dict[str, float]:
    other = runs["vae" if key[0] == "gan" else "gan", ALL, key[-1]]
    held_out = [evidence.examples(runs[key], split) for split in ("valid", "test")]
    real, class_N = (np.concatenate(part) for part in zip(*held_out, strict=True))
    made = evidence.generated(runs[key], class_N, 0)
    accuracy = probe.detector(real[:TAUGHT], made[:TAUGHT])
    real, made, others = (x[TAUGHT:] for x in (real, made, evidence.generated(other, class_N, 0)))
    random = np.random.RandomState(key[-1])
    noised = [x + NOISE * random.randn(*x.shape) for x in (real, made)]
    found = (
        accuracy(real, made),
        accuracy(*noised),
        accuracy(resampled(real), resampled(made)),
        accuracy(real, others),
    )
    return dict(zip(NUMBERS, found, strict=True))


def resampled(x_NHWC: np.ndarray) -> np.ndarray:
    """Each square of four pixels gets its mean."""
    n, height, width, channels = x_NHWC.shape
    squares = x_NHWC.reshape(n, height // 2, 2, width // 2, 2, channels)
    return np.broadcast_to(squares.mean((2, 4), keepdims=True), squares.shape).reshape(x_NHWC.shape)


def conclude(rows: claims.Rows) -> claims.Finding:
    of_real = 0.5 * np.sqrt(0.25 / TAUGHT)  # at most: of as many, half of what is asked about
    found = {
        number: {k: intervals.shared(e, of_real) for k, e in claims.estimates(rows, number).items()}
        for number in NUMBERS
    }
    lines = {
        number: {size: of["gan", size] for size in (*SIZES, ALL)} for number, of in found.items()
    }
    across, title = "n, training pictures of the GAN", f"real or generated digits, {SEEDS} seeds"
    picture = pictures.curves(lines, across, "accuracy", title, doubling=True)
    return claims.Finding(tuple(found[number]["gan", ALL] for number in NUMBERS), picture)
