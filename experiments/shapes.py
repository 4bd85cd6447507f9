"""Pictures of coloured shapes, and the sentence that tells what they are and how they lie.

python launch.py train --config=experiments/shapes.py        (default, blind)
5 minutes on 2 CPU cores; test exact match 99.3 %, the mean of 3 seeds (99.2 to 99.4 %), of the same
decoder without the picture 0 %.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default", "blind")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="shapes", model="one_to_many", objective="likelihood")
    c.dataset.batch_size, c.dataset.train_size = 64, 40_000
    c.model.blind = variant == "blind"
    c.model.encoder_sizes = (32, 64, 128)
    c.model.hidden_size, c.model.embedding_size = 128, 32
    c.model.input_feeding = True  # so that it knows what it looked at before
    c.num_steps = 3600
    c.log_every, c.eval_every, c.checkpoint_every = 100, 1200, 1200
    c.monitor = "exact_match"
    c.ema = 0.995
    c.optimizer.rule, c.optimizer.learning_rate = "adamw", 2e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 1.0
    return c
