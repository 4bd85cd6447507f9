"""What helps a tanh RNN that learns nothing over 100 steps? The adding problem, a change at a time.

python launch.py train --config=experiments/remedies.py:VARIANT
(plain, clip_norm, clip_value, clip_adaptive, relu, sigmoid, identity, glorot, normal, penalty,
layer_norm, gru, min_gru, lstm, forget_0, forget_5, chrono)
1 to 5 minutes on one CPU core, by the time of the first steps: only its start was run. Each changes
one field of `plain`, the last three one of `lstm`: clipping of gradients by their norm, by each
element or by each unit's weights; the activation; the initial recurrent weights; the penalty on
gradients that vanish (Pascanu et al. 2013: 4 times its mean over the steps); layer normalisation in
the recurrence; the cell; the LSTM's forget bias, and biases for memories of up to 100 steps
(chrono, Tallec & Ollivier 2018).
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
