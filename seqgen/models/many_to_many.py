"""Many to many, aligned: an output at every step. A language model, if it is the next token."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import flax.linen as nn
import jax

from seqgen.errors import UsageError, out_of_range
from seqgen.layers import Recurrent, RecurrentOptions, Tokens, dropout
from seqgen.models import fitting


@dataclasses.dataclass(frozen=True)
class Options(RecurrentOptions):
    embedding_size: int | None = None  # of token inputs; None feeds them one-hot
    tie_embedding: bool = False  # the output weights are the embedding (Press and Wolf 2017)
    output_bias: bool = True  # False: y_t = W_hy h_t, as the plain RNN is written
    input_dropout: float | None = None  # share of input features zeroed, one mask for all steps
    output_dropout: float | None = None  # share of units zeroed before the output layer

    def problems(self) -> Iterator[str]:
        yield from super().problems()
        yield from out_of_range(
            self,
            "model.",
            embedding_size="[1, inf)",
            input_dropout="[0, 1)",
            output_dropout="[0, 1)",
        )
        if self.tie_embedding and self.embedding_size != self.hidden_size:
            yield "model.tie_embedding needs model.embedding_size equal to model.hidden_size"
        if self.tie_embedding and self.bidirectional:
            yield "model.tie_embedding needs outputs of the embedding's width, not bidirectional's"


def make(options: Options, spec: dict[str, Any]) -> nn.Module:
    """Raises UsageError for data whose targets do not come one for each step, and for options that
    such data do not allow."""
    inputs, targets, name = spec["inputs"], spec["targets"], spec["dataset"]
    if targets["per"] != "step":
        raise UsageError(
            f"model many_to_many needs a target for each step; dataset {name} has a target per "
            f"{targets['per']}: {fitting(spec)}"
        )
    if options.bidirectional and ("start" in spec or spec["streamed"]):
        raise UsageError(
            f"model.bidirectional can't be used on dataset {name}, whose targets are its next "
            "inputs: the walk from the last step has seen them"
        )
    if options.tie_embedding and (inputs["kind"] != "token" or inputs["size"] != targets["size"]):
        raise UsageError(
            "model.tie_embedding needs tokens to predict from tokens, of one vocabulary; dataset "
            f"{name} has {inputs['size']} {inputs['kind']} inputs and {targets['size']} targets"
        )
    return ManyToMany(options, inputs["kind"], inputs["size"], targets["size"])


class ManyToMany(nn.Module):
    """y_t = W_hy h_t + b_y on top of a recurrent stack."""

    options: Options
    input_kind: str  # token or real
    input_size: int
    output_size: int

    def setup(self) -> None:
        o = self.options
        if self.input_kind == "token":
            self.tokens = Tokens(self.input_size, o.embedding_size)
        self.recurrent = Recurrent(o)
        if not o.tie_embedding:
            self.output = nn.Dense(self.output_size, use_bias=o.output_bias, param_dtype=float)

    def __call__(
        self,
        inputs: jax.Array,
        carry: Any = None,
        length_B: jax.Array | None = None,
        *,
        train: bool = False,
    ) -> tuple[Any, jax.Array]:
        """inputs: tokens [B, T] or features [B, T, E]. Returns (last carry, outputs [B, T, V])."""
        o = self.options
        x_BTE = self.tokens(inputs) if self.input_kind == "token" else inputs
        if train and o.input_dropout is not None:
            x_BTE = dropout(x_BTE, o.input_dropout, self.make_rng("dropout"), shared_axes=(1,))
        carry, h_BTD = self.recurrent(x_BTE, carry, length_B=length_B, train=train)
        if train and o.output_dropout is not None:
            h_BTD = dropout(h_BTD, o.output_dropout, self.make_rng("dropout"), shared_axes=(1,))
        return carry, self.tokens.attend(h_BTD) if o.tie_embedding else self.output(h_BTD)

    def initial_carry(self, batch_size: int) -> Any:
        return Recurrent(self.options, parent=None).initial_carry(batch_size)

    def start(self, inputs: dict[str, jax.Array]) -> tuple[None, Any]:
        """Nothing but the zero carry: a language model has no context besides its past."""
        return None, self.initial_carry(inputs["tokens_BT"].shape[0])

    def step(self, context: None, carry: Any, token_B: jax.Array) -> tuple[Any, jax.Array]:
        del context
        carry, logits_BTV = self(token_B[:, None], carry)
        return carry, logits_BTV[:, 0]
