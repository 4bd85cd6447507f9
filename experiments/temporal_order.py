"""Temporal order (Hochreiter & Schmidhuber 1997): which of two marks came first, long ago.

python launch.py train --config=experiments/temporal_order.py   (lstm, rnn, sgd)
20 seconds on 2 CPU cores; test accuracy 100 % at length 100 (chance: 25 %). sgd, a tanh RNN as in
Pascanu et al. 2013 with large recurrent weights, is what claims are made of.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("lstm", "rnn", "sgd")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="temporal_order", model="many_to_one", objective="likelihood")
    c.dataset.batch_size, c.dataset.length = 32, 100
    c.model.cell, c.model.hidden_size = "lstm" if variant == "lstm" else "rnn", 64
    if variant == "lstm":
        c.model.chrono_max = c.dataset.length
    c.num_steps = 2000
    c.log_every, c.eval_every, c.checkpoint_every = 100, 500, 500
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 2e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.clip_norm = 1.0  # Pascanu et al. 2013
    if variant == "sgd":
        c.dataset.batch_size, c.dataset.length = 20, 40
        c.model.hidden_size, c.model.recurrent_scale = 50, 1.5
        c.num_steps = c.eval_every = c.checkpoint_every = 8000
        c.max_nonfinite = c.num_steps  # a gradient that explodes is what there is to see
        c.optimizer.rule, c.optimizer.learning_rate = "sgd", 0.1
        c.optimizer.schedule = "constant"
    return c
