"""Handwritten digits out of 50 latent numbers: the variational autoencoder of Burda et al. 2016.

python launch.py train --config=experiments/mnist_vae.py       (default, published)
60 minutes on one CPU core, the other busy, and 18 more to evaluate it; one seed, test loss 92.2
nats, minus the ELBO; log likelihood -87.9 nats by 5,000 importance samples, fixed bits (published,
after 3,280 epochs: -86.8), 25 of the 50 latent numbers in use (published: 19). Without the KL's
warm-up they were 13, and -89.5; with 480,000 steps, a warm-up over 100,000 and bound=dreg -87.8; at
a rate of 2e-3 it got stuck at a loss of 180. `published` has the paper's batches of 20 and its
3,280 passes at eight rates, 9.8 million updates: only its start was run. Needs $SEQGEN_DATA/mnist.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default", "published")
# after 3^i passes at each of 8 rates, the next is 10^(1/7) times smaller (Burda et al. 2016)
STAGES = tuple(sum(3**i for i in range(n)) for n in range(1, 9))
PASS = 59_600 // 20  # updates that see every example once


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="mnist", model="vae", objective="elbo")
    c.dataset.order, c.dataset.batch_size = "image", 100
    c.dataset.valid_size = 400  # as the published numbers leave
    c.model.encoder_sizes = c.model.decoder_sizes = (200, 200)
    c.model.latent_size = 50
    c.objective.binarization = "dynamic"
    c.objective.warmup_steps = 60_000  # else few latent numbers are ever used
    c.num_steps = 400_000  # 670 epochs
    c.log_every, c.eval_every, c.checkpoint_every = 2000, 20_000, 20_000
    c.monitor = None
    c.ema = 0.9998
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 1e-3
    c.optimizer.epsilon = 1e-4
    c.optimizer.schedule = "cosine"
    if variant == "published":
        c.dataset.batch_size = 20
        c.objective.warmup_steps = c.ema = None
        c.optimizer.schedule, c.optimizer.decay_rate = "step", 10 ** (-1 / 7)
        *decays, last = (PASS * passes for passes in STAGES)
        c.optimizer.decay_at = tuple(decays)
        c.num_steps = last
    return c
