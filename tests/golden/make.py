"""Makes recurrent.npz, what PyTorch's own LSTM and GRU compute: python tests/golden/make.py

Needs torch (made with 2.13.0). float64, two rows of which the second is shorter; the gradients are
those of sum(sin(outputs)) + sum(last states).
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
