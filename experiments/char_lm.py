"""A character LSTM of English: the text that ships inside CPython.

python launch.py train --config=experiments/char_lm.py
1 minute on 2 CPU cores; test 1.56 bits per character (CPython 3.11's text; other versions' differ).
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default",)


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    config.variant_of(arg, VARIANTS)
    c = config.default(dataset="text", model="many_to_many", objective="likelihood")
    c.dataset.batch_size, c.dataset.length = 16, 64
    c.model.hidden_size = 256
    c.num_steps = 1500
    c.log_every, c.eval_every, c.checkpoint_every = 50, 250, 250
    c.optimizer.learning_rate = 6e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 50
    c.optimizer.clip_norm = 1.0
    return c
