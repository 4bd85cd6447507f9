"""Many to one: one output for a whole sequence, read from the last hidden state."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen.errors import UsageError, out_of_range
from seqgen.layers import Recurrent, RecurrentOptions, Tokens, dropout


@dataclasses.dataclass(frozen=True)
class Options(RecurrentOptions):
    embedding_size: int | None = None  # of token inputs; None feeds them one-hot
    output_dropout: float | None = None  # share of units zeroed before the output layer

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from out_of_range(self, "model.", embedding_size="[1, inf)", output_dropout="[0, 1)")


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data whose targets come one for each step."""
    if spec["targets"]["per"] != "sequence":
        raise UsageError(
            f"model many_to_one needs one target for each sequence; dataset {spec['dataset']} has "
            "one for each step: use many_to_many"
        )
    return ManyToOne(
        options, spec["inputs"]["kind"], spec["inputs"]["size"], spec["targets"]["size"]
    )


class ManyToOne(nn.Module):
    """y = W_hy h_T + b_y, h_T the top layer's state after each row's last real step.

    A bidirectional stack reads the last state of either direction.
    """

    options: Options
    input_kind: str  # token or real
    input_size: int
    output_size: int

    @nn.compact
    def __call__(
        self,
        inputs: jax.Array,
        carry: Any = None,
        length_B: jax.Array | None = None,
        *,
        train: bool = False,
    ) -> tuple[Any, jax.Array]:
        """inputs: tokens [B, T] or features [B, T, E]. Returns (last carry, outputs [B, C])."""
        o = self.options
        if self.input_kind == "token":
            inputs = Tokens(self.input_size, o.embedding_size, name="tokens")(inputs)
        carry, _ = Recurrent(o, name="recurrent")(inputs, carry, length_B=length_B, train=train)
        h_BD = jnp.concatenate([direction[-1] for direction in carry[-1]], axis=-1)
        if train and o.output_dropout is not None:
            h_BD = dropout(h_BD, o.output_dropout, self.make_rng("dropout"))
        return carry, nn.Dense(self.output_size, param_dtype=float, name="output")(h_BD)

    def initial_carry(self, batch_size: int) -> Any:
        return Recurrent(self.options, parent=None).initial_carry(batch_size)
