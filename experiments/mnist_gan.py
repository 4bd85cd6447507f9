"""MNIST out of noise and a class: an adversarial game of convolutions.

python launch.py train --config=experiments/mnist_gan.py        (default, fashion)
56 minutes on one CPU core, counting its work alone: the machine was busy. One seed, test coverage
0.80, a classifier tells 68.0 % of real and generated digits apart; 94.4 % of 2,500 samples are
recognised as the class asked by the classifier of mnist_rows (of held-out digits 98.5 %), where
95 % were hoped for: most are digits, some are smudges. With 12,000 steps it was 92.2 %. Needs
$SEQGEN_DATA/mnist; fashion, which was not run, $SEQGEN_DATA/fashion.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default", "fashion")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="mnist", model="gan", objective="adversarial")
    c.dataset.order, c.dataset.batch_size = "image", 64
    if variant == "fashion":
        c.dataset.labels, c.dataset.path = "fashion", "$SEQGEN_DATA/fashion"
    c.model.encoder = c.model.decoder = "conv"
    c.model.encoder_sizes, c.model.decoder_sizes = (32, 64), (64, 32)
    c.model.latent_size = 64
    c.model.conditional = True
    c.objective.r1 = c.objective.r2 = 1.0
    c.num_steps = 20_000
    c.objective.penalty_steps = c.num_steps
    c.log_every, c.eval_every, c.checkpoint_every = 100, 2000, 500
    c.monitor = None
    c.ema = 0.999
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 3e-4
    c.optimizer.beta1, c.optimizer.beta2 = 0.0, 0.99
    c.optimizer.schedule = "cosine"
    return c
