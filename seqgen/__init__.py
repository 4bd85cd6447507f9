"""Recurrent sequence models and generative models as pure functions of arrays.

Shapes live in names. The letters mean the same thing in every file:

    B batch    T time          E input features    D hidden units
    G gate pre-activations (num_gates * D)         V vocabulary
    N chunks   C steps in a chunk                  Z latent    K samples    L lanes

Imports run one way: errors, plan, cells, chunks, recurrence, layers, models, metrics, decoding,
objectives, datasets, optimizer, config, step, then what stores a run, then the verbs;
tests/test_architecture.py has the whole order.
"""
