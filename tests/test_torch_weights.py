"""Weights of PyTorch's modules compute here what they compute there, and the other way round."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.errors import UsageError
from seqgen.layers import Recurrent, RecurrentOptions
from seqgen.torch_weights import from_torch, to_torch

GOLDEN = Path(__file__).parent / "golden" / "torch_weights.npz"
KINDS = ("tanh", "relu", "lstm", "gru")


def golden(kind):
    """(x_BTE, outputs, last h, the state) as `golden/make.py` had them of PyTorch."""
    with np.load(GOLDEN) as file:
        arrays = {n.split("/")[1]: file[n] for n in file.files if n.startswith(f"{kind}/")}
    arrays.pop("c", None)
    return *(arrays.pop(name) for name in ("x", "outputs", "h")), arrays


def converted(kind, state):
    return from_torch(state, kind if kind in ("tanh", "relu") else "tanh")


def walked(options, params, x_BTE):
    """(outputs, the last h of every walk in PyTorch's order)."""
    walk = jax.jit(Recurrent(options).apply)
    carry, h_BTD = walk({"params": params}, jnp.asarray(x_BTE))
    return h_BTD, np.stack([walk[-1] for layer in carry for walk in layer])


def assert_same(actual, wanted, tolerance=1e-12):
    for a, w in zip(actual, wanted, strict=True):
        np.testing.assert_allclose(a, w, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
def test_two_bidirectional_layers_compute_what_pytorchs_did(kind, float64):
    x_BTE, outputs, h, state = golden(kind)
    options, params = converted(kind, state)
    assert_same(walked(options, params, x_BTE), (outputs, h))


@pytest.mark.parametrize("kind", KINDS)
def test_there_and_back_is_the_same(kind):
    """Bit for bit from ours to PyTorch's and back; the other way two biases become their sum."""
    *_, state = golden(kind)
    options, params = converted(kind, state)
    back = to_torch(params, options)
    assert back.keys() == state.keys()
    for name, array in back.items():
        if "bias" in name and kind != "gru":
            sums = (state[name.replace("hh", way).replace("ih", way)] for way in ("ih", "hh"))
            np.testing.assert_array_equal(array, sum(sums) if "ih" in name else 0 * array)
        else:
            np.testing.assert_array_equal(array, state[name])
    again_options, again = converted(kind, back)
    assert again_options == options
    jax.tree.map(np.testing.assert_array_equal, again, params)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_module_itself_takes_and_gives_weights(kind, bidirectional, float64):
    torch = pytest.importorskip("torch")
    module = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}.get(kind, torch.nn.RNN)
    how = {"nonlinearity": kind} if kind in ("tanh", "relu") else {}
    how |= {"bidirectional": bidirectional, "batch_first": True, "dtype": torch.float64}
    theirs, other = (module(3, 5, 2, **how) for _ in range(2))
    x_BTE = torch.randn(2, 7, 3, dtype=torch.float64)
    options, params = converted(kind, theirs.state_dict())
    wanted = theirs(x_BTE)[0].detach()
    assert_same(walked(options, params, x_BTE.numpy())[:1], [wanted])
    state = to_torch(params, options)
    other.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
    assert_same([other(x_BTE)[0].detach()], [wanted])
    unbiased = module(3, 5, bias=False, **how)
    options, params = converted(kind, unbiased.state_dict())
    ours = walked(options, params, x_BTE.numpy())[:1]
    assert_same(ours, [unbiased(x_BTE)[0].detach()])


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lstm.weight_ih_l0": np.zeros(3)}, "lstm.weight_ih_l0 is no weight of nn.RNN"),
        ({"weight_hr_l0": np.zeros((2, 2))}, "weight_hr_l0 is no weight"),
        ({"weight_hh_l0": np.zeros((4, 2))}, r"\[4 D, D\], and is \[4, 2\]"),
        ({"weight_hh_l0": np.zeros(4)}, r"\[4 D, D\], and is \[4\]"),
        ({"weight_hh_l0": None}, r"\[4 D, D\], and is \[0\]"),
        ({"weight_ih_l1": np.zeros((8, 3))}, r"weight_ih_l1 must be \[8, 4\], not \(8, 3\)"),
        ({"weight_ih_l0_reverse": np.zeros((8, 2))}, r"weight_ih_l0_reverse must be \[8, 3\]"),
        ({"weight_ih_l0": np.zeros((6, 3))}, r"weight_ih_l0 must be \[8, E\]"),
        ({"weight_ih_l1": None}, "weight_ih_l1 is missing"),
        ({"weight_hh_l1_reverse": None}, "weight_hh_l1_reverse is missing"),
        ({"bias_hh_l1": None}, "bias_hh_l1 is missing"),
        ({"weight_ih_l3": np.zeros((8, 4))}, "weight_ih_l2 is missing"),
        ({"weight_ih_l01": np.zeros((8, 4))}, "weight_ih_l01 belongs to no layer"),
    ],
)
def test_what_is_no_such_module_is_refused(changes, sentence):
    *_, state = golden("lstm")
    state = {name: array for name, array in (state | changes).items() if array is not None}
    with pytest.raises(UsageError, match=sentence):
        from_torch(state)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"cell": "min_gru"}, "unknown cell of PyTorch's 'min_gru'.* have: gru, lstm, rnn"),
        ({"cell": "rnn", "activation": "gelu"}, "unknown activation of PyTorch's 'gelu'"),
        ({"residual": True}, "no residual"),
        ({"normalize": True}, "no normalize"),
        ({"zoneout": 0.1}, "no zoneout"),
        ({"cell": "gru"}, "no parameters of .*cell='gru'.*see layer_0"),
        ({"num_layers": 3}, "see layer_2"),
    ],
)
def test_what_pytorch_lacks_is_refused(changes, sentence):
    *_, state = golden("lstm")
    options, params = from_torch(state)
    with pytest.raises(UsageError, match=sentence):
        to_torch(params, dataclasses.replace(options, **changes))


def test_an_unknown_nonlinearity_is_refused():
    *_, state = golden("tanh")
    with pytest.raises(UsageError, match="unknown activation of PyTorch's 'sigmoid'"):
        from_torch(state, "sigmoid")


def test_options_are_those_of_the_module():
    *_, state = golden("gru")
    options, _ = from_torch(state)
    assert options == RecurrentOptions(cell="gru", hidden_size=2, num_layers=2, bidirectional=True)
