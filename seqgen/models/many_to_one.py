"""Many to one: one output for a whole sequence, read from the top layer of a recurrent stack."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from seqgen import pooling
from seqgen.errors import UsageError, not_among, out_of_range
from seqgen.layers import Recurrent, RecurrentOptions, Tokens, dropout
from seqgen.models import fitting, has_steps


@dataclasses.dataclass(frozen=True)
class Options(RecurrentOptions):
    embedding_size: int | None = None  # of token inputs; None feeds them one-hot
    recurrent: bool = True  # False: pool the inputs themselves; with pooling=last, the last alone
    pooling: str = "last"  # what the output reads: the last state, or mean, max, attention of all
    output_bias: bool = True  # False: y = W_hy h, as the plain RNN is written
    input_dropout: float | None = None  # share of input features zeroed, one mask for all steps
    step_dropout: float | None = None  # share of steps whose whole input is zeroed: word dropout
    output_dropout: float | None = None  # share of units zeroed before the output layer

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from out_of_range(
            self,
            "model.",
            embedding_size="[1, inf)",
            input_dropout="[0, 1)",
            step_dropout="[0, 1)",
            output_dropout="[0, 1)",
        )
        yield from not_among(self, "model.", pooling=("last", *pooling.NAMES))


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data whose targets do not come one for each sequence of steps."""
    if spec["targets"]["per"] != "sequence":
        raise UsageError(
            f"model many_to_one needs one target for each sequence; dataset {spec['dataset']} has "
            f"a target per {spec['targets']['per']}: {fitting(spec)}"
        )
    if not has_steps(spec):
        raise UsageError(
            f"model many_to_one does not fit dataset {spec['dataset']}: {fitting(spec)}"
        )
    return ManyToOne(
        options, spec["inputs"]["kind"], spec["inputs"]["size"], spec["targets"]["size"]
    )


class ManyToOne(nn.Module):
    """y = W_hy h + b_y, h being a summary of the top layer's states at each row's real steps.

    The summary is the output at the last real step, of either direction where there are two, or a
    pooling of all. Without recurrence it pools the inputs: a bag, the control that shows what the
    order of the steps is worth, or the last input alone, that which shows what memory is worth.
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
        h_BTD = inputs
        if self.input_kind == "token":
            h_BTD = Tokens(self.input_size, o.embedding_size, name="tokens")(inputs)
        for rate, shared_axis in ((o.input_dropout, 1), (o.step_dropout, 2)):
            if train and rate is not None:
                h_BTD = dropout(h_BTD, rate, self.make_rng("dropout"), shared_axes=(shared_axis,))
        if o.recurrent:
            stack = Recurrent(o, name="recurrent")
            carry, h_BTD = stack(h_BTD, carry, length_B=length_B, train=train)
        if o.pooling != "last":
            h_BD = pooling.Pooling(o.pooling, name="pooling")(h_BTD, length_B)
        elif o.residual or not o.recurrent:  # which the carry has no part of
            h_BD = pooling.last(h_BTD, length_B, o.bidirectional and o.recurrent)
        else:
            h_BD = jnp.concatenate([direction[-1] for direction in carry[-1]], axis=-1)
        if train and o.output_dropout is not None:
            h_BD = dropout(h_BD, o.output_dropout, self.make_rng("dropout"))
        self.sow("intermediates", "features", h_BD)  # kept for those who ask for intermediates
        output = nn.Dense(
            self.output_size, use_bias=o.output_bias, param_dtype=float, name="output"
        )
        return carry, output(h_BD)

    def initial_carry(self, batch_size: int) -> Any:
        if not self.options.recurrent:
            return ()
        return Recurrent(self.options, parent=None).initial_carry(batch_size)
