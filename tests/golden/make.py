"""Makes recurrent.npz and torch_weights.npz, which PyTorch computes: python tests/golden/make.py

Needs torch (made with 2.13.0). float64. recurrent.npz: an LSTM and a GRU, two rows of which the
second is shorter, with the gradients of sum(sin(outputs)) + sum(last states). torch_weights.npz:
two bidirectional layers of each module, every array of the formula `filled`.
"""

from pathlib import Path

import numpy as np
import torch

BATCH, TIME, INPUTS, UNITS = 2, 6, 3, 4


def golden(kind: type) -> dict[str, np.ndarray]:
    """Inputs, parameters, outputs and gradients of a bidirectional layer, by name."""
    torch.manual_seed(0)
    layer = kind(INPUTS, UNITS, batch_first=True, bidirectional=True, dtype=torch.float64)
    x = torch.randn(BATCH, TIME, INPUTS, dtype=torch.float64, requires_grad=True)
    length = torch.tensor([TIME, TIME - 2])
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, length, batch_first=True)
    outputs, last = layer(packed)
    outputs, _ = torch.nn.utils.rnn.pad_packed_sequence(outputs, batch_first=True)
    last = last if isinstance(last, tuple) else (last,)
    (outputs.sin().sum() + sum(s.sum() for s in last)).backward()
    arrays = {"x": x, "d_x": x.grad, "length": length, "outputs": outputs}
    arrays |= dict(zip(("h", "c"), last, strict=False))
    for name, value in layer.named_parameters():
        arrays |= {name: value, f"d_{name}": value.grad}
    return {name: array.detach().numpy() for name, array in arrays.items()}


def filled(number: int, shape: tuple[int, ...]) -> torch.Tensor:
    """sin(number + 1), sin(2 (number + 1)), …: other values for each number."""
    count = int(np.prod(shape))
    return torch.from_numpy(np.sin((1 + number) * np.arange(1.0, 1 + count)).reshape(shape))


def stack(kind: type, **how: str) -> dict[str, np.ndarray]:
    """x, the outputs and last states of two bidirectional layers, and their state, by name."""
    layer = kind(3, 2, 2, batch_first=True, bidirectional=True, dtype=torch.float64, **how)
    state = {n: filled(i, p.shape) for i, (n, p) in enumerate(layer.state_dict().items())}
    layer.load_state_dict(state)
    x = filled(len(state), (2, 4, 3))
    outputs, last = layer(x)
    last = last if isinstance(last, tuple) else (last,)
    arrays = {"x": x, "outputs": outputs, **dict(zip(("h", "c"), last, strict=False)), **state}
    return {name: array.detach().numpy() for name, array in arrays.items()}


if __name__ == "__main__":
    kinds = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    np.savez_compressed(
        Path(__file__).with_name("recurrent.npz"),
        **{
            f"{k}/{name}": array
            for k, kind in kinds.items()
            for name, array in golden(kind).items()
        },
    )
    stacks = {
        "tanh": stack(torch.nn.RNN),
        "relu": stack(torch.nn.RNN, nonlinearity="relu"),
        "lstm": stack(torch.nn.LSTM),
        "gru": stack(torch.nn.GRU),
    }
    np.savez_compressed(
        Path(__file__).with_name("torch_weights.npz"),
        **{f"{kind}/{n}": array for kind, arrays in stacks.items() for n, array in arrays.items()},
    )
