"""SCAN (Lake and Baroni 2018): commands to actions; which generalisation fails, and which does not.

python launch.py train --config=experiments/scan.py     (simple, length, jump, turn_left)
9 minutes on one CPU core, mostly busy; simple: test exact match 99.8 % (published: 99.7 to 99.8),
one seed on a random division of our own; jump 0.9 % (0.1 to 1.2), one seed. length had 15.2 %
(13.8 to 20.8) after 2,000 steps without buckets. turn_left was not run.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("simple", "length", "jump", "turn_left")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    c = config.default(dataset="scan", model="encoder_decoder", objective="likelihood")
    c.dataset.split = config.variant_of(arg, VARIANTS)
    c.dataset.batch_size, c.dataset.buckets = 64, 4
    c.model.hidden_size, c.model.embedding_size = 200, 64
    c.model.num_layers = 1
    c.model.attention = "general"
    c.model.input_dropout = c.model.output_dropout = 0.1
    c.num_steps = 3000
    c.log_every, c.eval_every, c.checkpoint_every = 50, 500, 500
    c.monitor = "exact_match"
    c.ema = 0.99
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 3e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 1.0
    return c
