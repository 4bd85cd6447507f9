"""MNIST read pixel by pixel, 784 steps; `permuted` shuffles the pixels by one fixed permutation.

python launch.py train --config=experiments/mnist_pixels.py     (pixels, permuted, irnn)
26 minutes on 2 CPU cores; pixels: test accuracy 91.7 % after 4.7 epochs (an LSTM after 10 epochs in
Bai, Kolter & Koltun 2018: 87.2 %). The others were not run to their
ends. Needs $SEQGEN_DATA/mnist.
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = ("pixels", "permuted", "irnn")


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="mnist", model="many_to_one", objective="likelihood")
    c.dataset.order = "permuted" if variant == "permuted" else "pixels"
    c.dataset.batch_size = 128
    c.model.hidden_size = 128
    if variant == "irnn":  # Le, Jaitly & Hinton 2015
        c.model.cell, c.model.activation, c.model.recurrent_init = "rnn", "relu", "identity"
    else:
        c.model.chrono_max = 784  # Tallec & Ollivier 2018
    c.num_steps = 2000
    c.log_every, c.eval_every, c.checkpoint_every = 100, 500, 500
    c.monitor = "accuracy"
    c.ema = 0.99
    c.optimizer.rule = "adamw"
    c.optimizer.learning_rate = 1e-4 if variant == "irnn" else 2e-3
    c.optimizer.schedule = "cosine"
    c.optimizer.warmup_steps = 100
    c.optimizer.clip_norm = 1.0
    return c
