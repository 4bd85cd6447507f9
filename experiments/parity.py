"""Parity of up to 40 bits, from one answer at the end of each sequence.

python launch.py train --config=experiments/parity.py           (lstm, gru, rnn)
20 seconds on 2 CPU cores; test accuracy 100 % (chance: 50 %).
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("lstm", "gru", "rnn")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="parity", model="many_to_one", objective="likelihood")
    c.model.cell, c.model.hidden_size = variant, 64
    c.num_steps = 1500
    c.log_every, c.eval_every, c.checkpoint_every = 50, 500, 500
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 5e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.clip_norm = 1.0
    return c
