"""SCAN (Lake and Baroni 2018): commands to actions; which generalisation fails, and which does not.

python launch.py train --config=experiments/scan.py     (simple, length, jump, turn_left)
5 minutes on 2 CPU cores; simple: test exact match 99.9 % (published: 99.7 to 99.8), one seed on
a random division of our own, of before the last change of the loss; length 15.2 % (13.8 to 20.8).
With --config.dataset.buckets=4 --config.num_steps=3000 since then, 9 minutes on one busy core:
simple 99.8 %, jump 0.9 % (0.1 to 1.2), one seed each. turn_left was not run.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("simple", "length", "jump", "turn_left")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    c = config.default(dataset="scan", model="encoder_decoder", objective="likelihood")
    c.dataset.split = config.variant_of(arg, VARIANTS)
    c.dataset.batch_size = 64
    c.model.hidden_size, c.model.embedding_size = 200, 64
    c.model.num_layers = 1
    c.model.attention = "general"
    c.model.input_dropout = c.model.output_dropout = 0.1
    c.num_steps = 2000
    c.log_every, c.eval_every, c.checkpoint_every = 50, 500, 500
    c.monitor = "exact_match"
    c.ema = 0.99
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 3e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 1.0
    return c
