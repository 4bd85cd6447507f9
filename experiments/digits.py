"""Handwritten digits, 8 x 8, read row by row (scikit-learn's copy of the UCI set).

python launch.py train --config=experiments/digits.py           (rows, pixels)
10 to 20 seconds on 2 CPU cores; test accuracy 98.4 %, the mean of 5 seeds (98.1 to 98.9 %).
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("rows", "pixels")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="digits", model="many_to_one", objective="likelihood")
    c.dataset.order = variant
    c.model.hidden_size = 128
    c.model.bidirectional = variant == "rows"
    c.model.output_dropout = 0.3
    c.num_steps = 2000 if variant == "rows" else 4000
    c.log_every, c.eval_every, c.checkpoint_every = 100, 500, 500
    c.monitor = "accuracy"
    c.ema = 0.99
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 4e-3
    c.optimizer.weight_decay = 0.01
    c.optimizer.schedule = "cosine"
    c.optimizer.clip_norm = 1.0
    return c
