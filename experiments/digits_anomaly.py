"""Handwritten digits, 8 x 8, of which a model never sees the eights: are those anomalous to it?

python launch.py train --config=experiments/digits_anomaly.py   (vae, autoencoder)
2 minutes on one CPU core; only its start was run.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("vae", "autoencoder")
OBJECTIVES = {"vae": "elbo", "autoencoder": "reconstruction"}


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="digits", model=variant, objective=OBJECTIVES[variant])
    c.dataset.order, c.dataset.batch_size, c.dataset.held_out = "image", 64, "8"
    c.model.encoder_sizes = c.model.decoder_sizes = (128,) if variant == "vae" else (256, 256)
    c.model.activation = "gelu"
    c.model.latent_size = 10 if variant == "vae" else 8
    if variant == "vae":
        c.model.likelihood = "gaussian"
    c.num_steps = 2000
    c.log_every, c.eval_every, c.checkpoint_every = 100, 500, 500
    c.monitor = None  # the threshold's promise needs a validation split that has chosen nothing
    c.ema = 0.99
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 2e-3
    c.optimizer.weight_decay = 0.1 if variant == "vae" else 0.01
    c.optimizer.schedule = "cosine"
    c.optimizer.clip_norm = 5.0
    return c
