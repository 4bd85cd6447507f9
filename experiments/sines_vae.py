"""Series of five sines out of a latent vector, step by step: a recurrent variational autoencoder.

python launch.py train --config=experiments/sines_vae.py
2 minutes on one CPU core, counting its work alone: the machine was busy. One seed, test log
likelihood 295.6 nats by 50 importance samples (a density, of series without noise: it may exceed 0,
and is small where the series are far from exact), ELBO 281.0, KL 39.7, all 20 latent numbers in
use. It makes series again and goes smoothly from one to another, but most of those that it draws
are not like the data. With 10 latent numbers and 5,000 steps the likelihood was 388.9 nats, but
coverage 0.035 and the discriminative score 0.49, of at most 0.5: more exact, no better a sampler.
Frequencies are those of TimeGAN's published code, slow ones; those of the paper were not run.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default",)


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    config.variant_of(arg, VARIANTS)
    c = config.default(dataset="sines", model="vae", objective="elbo")
    c.dataset.ranges = "code"
    c.model.encoder = c.model.decoder = "recurrent"
    c.model.cell = "gru"
    c.model.encoder_sizes = c.model.decoder_sizes = (64,)
    c.model.latent_size = 20
    c.model.likelihood = "gaussian"
    c.objective.evaluation_samples = 50
    c.num_steps = 1500
    c.log_every, c.eval_every, c.checkpoint_every = 100, 500, 500
    c.ema = 0.99
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 3e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 1.0
    return c
