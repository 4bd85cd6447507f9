"""Sentences of a small grammar out of a latent vector: a recurrent variational autoencoder.

python launch.py train --config=experiments/text_vae.py        (default, plain)
2 minutes on one CPU core, counting its work alone: the machine was busy. One seed, test kl 6.14
nats, all 16 latent numbers in use; without KL warm-up, free bits and word dropout (plain) 0.04 nats
and 1: collapsed. By 100 importance samples both find the sentences as likely, -15.94 and -15.90
nats (the grammar's entropy is 15.71); the ELBO, -16.7 and -15.9, pays for the latent vector.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default", "plain")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="sentences", model="sequence_vae", objective="elbo")
    c.model.cell = "gru"
    c.model.hidden_size, c.model.embedding_size = 96, 48
    c.model.bidirectional = True
    c.model.latent_size = 16
    c.objective.evaluation_samples = 100
    c.num_steps = 1500
    if variant != "plain":
        c.model.word_dropout = 0.5
        c.objective.warmup_steps = c.num_steps // 2
        c.objective.free_bits = 0.25
    c.log_every, c.eval_every, c.checkpoint_every = 100, 500, 500
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 4e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 5.0
    return c
