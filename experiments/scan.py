"""SCAN (Lake and Baroni 2018): commands to actions; which generalisation fails, and which does not.

python launch.py train --config=experiments/scan.py     (simple, length, jump, turn_left)
4 minutes on one CPU core (length; all of them 4 to 13 on a busy one); simple: test exact match
99.84 %, the mean of 3 seeds (99.78 to 99.88 %; published: 99.7 to 99.8) on a random division of our
own; length 15.2, 16.2 and 16.2 % (13.8 to 20.8); jump 1.1 and 2.2 % (0.1 to 1.2; seeds 1 and 2),
seed 0 with --config.dataset.buckets=4 --config.num_steps=3000 0.9 %; turn_left 30.1 %, one seed.
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
