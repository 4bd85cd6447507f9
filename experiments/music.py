"""Polyphonic music: which of 88 keys sound in the next frame (Boulanger-Lewandowski et al. 2012).

python launch.py train --config=experiments/music.py            (nottingham, jsb, musedata, piano)
9 minutes on one CPU core, mostly busy; nottingham: test loss 3.18 nats per frame, the mean over all
frames (seeds 0 and 1: 3.183 and 3.177; an earlier version 3.12; published: LSTM 3.29, TCN 3.07;
knowing only how often each key sounds: 10.26). The others were not run. Needs the collection's .mat
in $SEQGEN_DATA.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("nottingham", "jsb", "musedata", "piano")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="music", model="many_to_many", objective="likelihood")
    c.dataset.collection = variant
    c.dataset.batch_size, c.dataset.length = 16, 64
    c.model.hidden_size, c.model.num_layers = 256, 2
    c.model.residual = True  # one layer alone takes twice the steps to the same loss
    c.model.dropout = c.model.output_dropout = 0.3
    c.num_steps, c.schedule_steps = 2500, 5000  # from here on it overfits
    c.log_every, c.eval_every, c.checkpoint_every = 50, 500, 500
    c.ema = 0.998
    c.optimizer.learning_rate = 1e-2
    c.optimizer.weight_decay = 0.01
    c.optimizer.beta2 = 0.99
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 50
    c.optimizer.clip_norm = 1.0
    return c
