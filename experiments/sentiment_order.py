"""Does the fox chase the hen, or the hen the fox? What only the order of the words can tell.

python launch.py train --config=experiments/sentiment_order.py  (lstm, bag)
2 minutes on one CPU core; test accuracy lstm 100 %, bag 50.1 %, which is chance.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("lstm", "bag")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="word_order", model="many_to_one", objective="likelihood")
    c.model.embedding_size = c.model.hidden_size = 32
    c.model.recurrent = variant == "lstm"
    c.model.pooling = "mean"
    c.num_steps = 1000
    c.log_every, c.eval_every, c.checkpoint_every = 50, 500, 500
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 5e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.clip_norm = 1.0
    return c
