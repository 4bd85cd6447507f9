"""Weights of PyTorch's `nn.RNN`, `nn.LSTM` and `nn.GRU` as those of `layers.Recurrent`, and back.

Both sides are dictionaries of NumPy arrays, so that neither function needs PyTorch: it takes what
`module.state_dict()` holds. Its gates have the order of ours (i f g o are store, forget, candidate,
output; r z n are reset, update, candidate) and its GRU resets after the product as ours does; a
weight is ours transposed. Its second bias adds to the first, but in the GRU, where ours has two as
well. A carry of its LSTM is (h, c), of ours (c, h).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from seqgen.errors import UsageError, unknown
from seqgen.layers import RecurrentOptions

GATES = {"rnn": 1, "gru": 3, "lstm": 4}
ACTIVATIONS = ("relu", "tanh")  # of nn.RNN
NAME = re.compile(r"(weight|bias)_(ih|hh)_l(\d+)(_reverse)?")


def from_torch(
    state: Mapping[str, Any], activation: str = "tanh"
) -> tuple[RecurrentOptions, dict[str, dict[str, np.ndarray]]]:
    """The options of a `Recurrent` and its parameters, which compute what the module computes.

    Args:
      state: as of `state_dict()`, without a prefix: "weight_ih_l0" [G, E], "weight_hh_l0" [G, D],
        "bias_ih_l0" and "bias_hh_l0" [G] or neither, "…_reverse", "…_l1" and so on.
      activation: of an `nn.RNN`, its `nonlinearity`: the weights don't say it.

    Returns:
      (options, params): `Recurrent(options).apply({"params": params}, x_BTE)`.

    Raises:
      UsageError: the names or shapes are not those of one such module, as with `proj_size`.
    """
    arrays = {name: np.asarray(array) for name, array in state.items()}
    options = _options_of(arrays, activation)
    _refuse_unlike_torch(options)
    units, width = options.hidden_size, GATES[options.cell] * options.hidden_size
    params, inputs = {}, None  # None: as many as there are
    for layer, ours, end in _walks(options):
        if layer > 0:
            inputs = units * (1 + options.bidirectional)
        w_x_GE = _taken(arrays, f"weight_ih{end}", (width, inputs))
        inputs = w_x_GE.shape[1]
        w_h_GD = _taken(arrays, f"weight_hh{end}", (width, units))
        b_G, b_h_G = np.zeros((2, width), w_h_GD.dtype)
        if f"bias_ih{end}" in arrays or f"bias_hh{end}" in arrays:
            b_G, b_h_G = (_taken(arrays, f"bias_{way}{end}", (width,)) for way in ("ih", "hh"))
        biases = {"b_G": b_G, "b_h_G": b_h_G} if options.cell == "gru" else {"b_G": b_G + b_h_G}
        params[ours] = {"w_x_EG": w_x_GE.T, "w_h_DG": w_h_GD.T} | biases
    if arrays:
        raise UsageError(f"{min(arrays)} belongs to no layer that the other weights make")
    return options, params


def to_torch(
    params: Mapping[str, Mapping[str, Any]], options: RecurrentOptions
) -> dict[str, np.ndarray]:
    """The state of the module that computes what `Recurrent(options)` does with these parameters.

    A module takes it by `load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})`
    and is made with `batch_first=True` for x_BTE. Where PyTorch has two biases for one, the second
    is zero.

    Raises:
      UsageError: PyTorch has no such module.
    """
    _refuse_unlike_torch(options)
    units, state = options.hidden_size, {}
    for _, ours, end in _walks(options):
        p = {name: np.asarray(array) for name, array in params.get(ours, {}).items()}
        if "w_h_DG" not in p or p["w_h_DG"].shape != (units, GATES[options.cell] * units):
            raise UsageError(f"these are no parameters of {options}: see {ours}")
        state[f"weight_ih{end}"] = np.ascontiguousarray(p["w_x_EG"].T)
        state[f"weight_hh{end}"] = np.ascontiguousarray(p["w_h_DG"].T)
        state[f"bias_ih{end}"] = p["b_G"]
        state[f"bias_hh{end}"] = p.get("b_h_G", np.zeros_like(p["b_G"]))
    return state


def _options_of(arrays: Mapping[str, np.ndarray], activation: str) -> RecurrentOptions:
    found = {name: NAME.fullmatch(name) for name in arrays}
    if strange := sorted(name for name, match in found.items() if match is None):
        raise UsageError(
            f"{strange[0]} is no weight of nn.RNN, nn.LSTM or nn.GRU without projections; have "
            "names such as weight_ih_l0, without a prefix"
        )
    first = arrays.get("weight_hh_l0", np.zeros(0))
    kinds = {gates: cell for cell, gates in GATES.items()}
    if first.ndim != 2 or not first.size or first.shape[0] / first.shape[1] not in kinds:
        raise UsageError(
            f"weight_hh_l0 must be [D, D], [3 D, D] or [4 D, D], and is {list(first.shape)}"
        )
    cell = kinds[first.shape[0] // first.shape[1]]
    return RecurrentOptions(
        cell=cell,
        activation=activation if cell == "rnn" else "tanh",
        hidden_size=first.shape[1],
        num_layers=1 + max(int(match[3]) for match in found.values()),
        bidirectional=any(match[4] for match in found.values()),
    )


def _refuse_unlike_torch(options: RecurrentOptions) -> None:
    if options.cell not in GATES:
        raise unknown("cell of PyTorch's", options.cell, GATES)
    if options.cell == "rnn" and options.activation not in ACTIVATIONS:
        raise unknown("activation of PyTorch's", options.activation, ACTIVATIONS)
    for name in ("residual", "normalize", "zoneout"):
        if getattr(options, name):
            raise UsageError(f"PyTorch's recurrent modules have no {name}")


def _walks(options: RecurrentOptions) -> Iterator[tuple[int, str, str]]:
    """(layer, our name, the end of PyTorch's names) for each walk."""
    for layer in range(options.num_layers):
        for end in ("", "_reverse")[: 1 + options.bidirectional]:
            yield layer, f"layer_{layer}{end}", f"_l{layer}{end}"


def _taken(arrays: dict[str, np.ndarray], name: str, shape: tuple[int | None, ...]) -> np.ndarray:
    """Takes an array of that shape, None being any size, out of the others."""
    if name not in arrays:
        raise UsageError(f"{name} is missing")
    array = arrays.pop(name)
    fits = array.ndim == len(shape) and all(
        wanted in (None, size) for size, wanted in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = ["E" if size is None else size for size in shape]
        raise UsageError(f"{name} must be [{', '.join(map(str, wanted))}], not {array.shape}")
    return array
