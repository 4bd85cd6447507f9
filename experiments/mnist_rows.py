"""MNIST read as 28 rows of 28 pixels by an LSTM.

python launch.py train --config=experiments/mnist_rows.py       (needs $SEQGEN_DATA/mnist)
90 to 130 seconds on 2 CPU cores; test accuracy 99.10 %.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default",)


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    config.variant_of(arg, VARIANTS)
    c = config.default(dataset="mnist", model="many_to_one", objective="likelihood")
    c.dataset.batch_size = 128
    c.model.hidden_size = 128
    c.model.output_dropout = 0.2
    c.num_steps = 4000
    c.log_every, c.eval_every, c.checkpoint_every = 100, 1000, 1000
    c.monitor = "accuracy"
    c.ema = 0.995
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 4e-3
    c.optimizer.weight_decay = 0.01
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 1.0
    return c
