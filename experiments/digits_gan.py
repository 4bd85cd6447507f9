"""Handwritten digits, 8 x 8, out of noise and a class: two players of dense layers.

python launch.py train --config=experiments/digits_gan.py        (default, unconditional)
4 minutes on one CPU core, counting its work alone, for three seeds together. Of them, test
recognised 98.3 % of 2,500 samples (98.2 to 98.6 %) as the class they were asked for by `digits`
(98.9 % of held-out digits; evaluate --features=…), coverage 98.0 % (97.5 to 98.6 %), recall 87.6 %;
a classifier tells them from the data, 70.4 % right (65.3 to 75.3 %). unconditional was not run.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default", "unconditional")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="digits", model="gan", objective="adversarial")
    c.dataset.order, c.dataset.batch_size = "image", 64
    c.model.encoder_sizes = c.model.decoder_sizes = (256, 256)
    c.model.latent_size = 32
    c.model.conditional = variant == "default"
    c.objective.augment = ("translation", "contrast", "brightness")
    c.objective.r1 = c.objective.r2 = 0.5
    c.num_steps = 8000
    c.objective.penalty_steps = c.num_steps
    c.log_every, c.eval_every, c.checkpoint_every = 500, 4000, 2000
    c.monitor = None
    c.ema = 0.999
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 1e-3
    c.optimizer.beta1, c.optimizer.beta2 = 0.0, 0.99
    c.optimizer.schedule = "cosine"
    return c
