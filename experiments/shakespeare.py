"""A character LSTM of tinyshakespeare on nanoGPT's CPU budget: 1.54 M training tokens seen.

python launch.py train --config=experiments/shakespeare.py      (needs $SEQGEN_DATA/tinyshakespeare)
2 minutes on 2 CPU cores, 0.72 M parameters; validation loss 1.506 nats with carried state.
Blocks of 64 scored alone, as nanoGPT does (which reports 1.88 for its 0.8 M parameters): 1.575, by
python launch.py evaluate --workdir=runs/shakespeare --split=valid --config.dataset.eval_carry=False
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("default",)
SOURCE = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare"


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    config.variant_of(arg, VARIANTS)
    c = config.default(dataset="text", model="many_to_many", objective="likelihood")
    c.dataset.path = "$SEQGEN_DATA/tinyshakespeare/input.txt"
    c.dataset.source = f"{SOURCE}/input.txt"
    c.dataset.shares = (0.9, 0.1, 0.0)
    c.dataset.batch_size, c.dataset.length = 16, 64
    c.model.hidden_size = 384
    c.num_steps = 1500
    c.log_every, c.eval_every, c.checkpoint_every = 50, 500, 500
    c.optimizer.learning_rate = 6e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 50
    c.optimizer.clip_norm = 1.0
    c.optimizer.beta2 = 0.99
    return c
