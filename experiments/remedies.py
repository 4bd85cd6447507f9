"""What helps a tanh RNN that learns little over 100 steps? The adding problem, a change at a time.

python launch.py train --config=experiments/remedies.py:VARIANT
(plain, clip_norm, clip_value, clip_adaptive, relu, sigmoid, identity, glorot, normal, penalty,
layer_norm, gru, min_gru, lstm, forget_0, forget_5, chrono)
1 to 5 minutes on one CPU core; test squared error plain 0.078, 0.167 and 0.160 with the seeds 0, 1
and 2 (always answering 1: 0.167), clip_norm 0.160, 0.162, 0.076, clip_value 0.122, 0.154, 0.161,
clip_adaptive 0.031, 0.009, 0.010, relu 0.151, 0.003, 0.007, identity 0.161, 0.144, 0.158, penalty
0.171, 0.169, 0.169, layer_norm 0.070, 0.165, 0.162. With the seed 0 alone sigmoid 0.169, glorot
0.168, normal 0.165, gru 0.0001, min_gru 0.034, lstm 0.0008, forget_0 0.0028, forget_5 0.0013,
chrono 0.0003. So gates help, and each unit's gradients clipped by its weights; a relu does when it
gets going; between the others chance decides.

Each changes one field of `plain`, the last three one of `lstm`: clipping of gradients by their
norm, by each element or by each unit's weights; the activation; the initial recurrent weights; the
penalty on gradients that vanish (Pascanu et al. 2013: 4 times its mean over the steps); layer
normalisation in the recurrence; the cell; the LSTM's forget bias, and biases for memories of up to
100 steps (chrono, Tallec & Ollivier 2018).
"""

from ml_collections import config_dict

from seqgen import config

VARIANTS = (
    "plain",
    "clip_norm",
    "clip_value",
    "clip_adaptive",
    "relu",
    "sigmoid",
    "identity",
    "glorot",
    "normal",
    "penalty",
    "layer_norm",
    "gru",
    "min_gru",
    "lstm",
    "forget_0",
    "forget_5",
    "chrono",
)
LSTM = {"model.cell": "lstm"}
CHANGES = {
    "plain": {},
    "clip_norm": {"optimizer.clip_norm": 1.0},
    "clip_value": {"optimizer.clip_value": 0.1},
    "clip_adaptive": {"optimizer.clip_adaptive": 0.01},
    "relu": {"model.activation": "relu"},
    "sigmoid": {"model.activation": "sigmoid"},
    "identity": {"model.recurrent_init": "identity"},
    "glorot": {"model.recurrent_init": "glorot"},
    "normal": {"model.recurrent_init": "normal"},
    "penalty": {"objective.vanishing_penalty": 0.04},
    "layer_norm": {"model.normalize": True},
    "gru": {"model.cell": "gru"},
    "min_gru": {"model.cell": "min_gru"},
    "lstm": LSTM,
    "forget_0": LSTM | {"model.forget_bias": 0.0},
    "forget_5": LSTM | {"model.forget_bias": 5.0},
    "chrono": LSTM | {"model.chrono_max": 100},
}


def get_config(arg: str | None = None) -> config_dict.ConfigDict:
    variant = config.variant_of(arg, VARIANTS)
    c = config.default(dataset="adding", model="many_to_one", objective="likelihood")
    c.dataset.length = 100
    c.model.cell, c.model.hidden_size = "rnn", 100
    c.num_steps = 4000
    c.log_every, c.eval_every, c.checkpoint_every = 100, 1000, 1000
    c.max_nonfinite = c.num_steps  # a gradient that explodes is what there is to see
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 2e-3
    c.optimizer.schedule = "cosine"
    c.update_from_flattened_dict(CHANGES[variant])
    return c
