"""Dates as people write them to ISO 8601, character by character, by an encoder and a decoder.

python launch.py train --config=experiments/dates.py
2 minutes on one CPU core; test exact match 99.98 %, the mean of 3 seeds (99.95 to 100 %; 2,000 days
that training never saw).
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default",)


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    config.variant_of(arg, VARIANTS)
    c = config.default(dataset="dates", model="encoder_decoder", objective="likelihood")
    c.dataset.batch_size = 64
    c.model.cell = "gru"
    c.model.hidden_size, c.model.embedding_size = 128, 64
    c.model.bidirectional = True
    c.num_steps = 500
    c.log_every, c.eval_every, c.checkpoint_every = 50, 250, 250
    c.monitor = "exact_match"
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 4e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 1.0
    return c
