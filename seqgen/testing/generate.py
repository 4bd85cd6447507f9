"""What a model that generates promises: its `step`, token after token, is its whole pass."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from seqgen import decoding
from seqgen.testing.verdict import check, same


class Case(NamedTuple):
    """A model, its parameters, and what it reads and writes.

    `whole(batch)` are the logits [B, T, V] of the model called once, each of the token after those
    of `read_BT` up to there; `written(batch)` are those of its `step`.
    """

    model: nn.Module
    variables: dict[str, Any]
    batch: dict[str, jax.Array]  # what `start` reads, the data's "inputs", and "read_BT"
    size: int  # of the vocabulary
    whole: Callable[[dict[str, jax.Array]], jax.Array]
    written: Callable[[dict[str, jax.Array]], jax.Array]


def check_generate(model: nn.Module, spec: dict[str, Any], *, rows: int = 3) -> None:
    """Raises an AssertionError for the first property that the model does not have.

    Args:
      model: with `start` and `step`, as `make` gives it: a language model, or one of answers. It is
        tried with random parameters.
      spec: that of the data it was made for, with the `length` of inputs or answers.
      rows: examples in a batch.
    """
    with jax.enable_x64(True):
        case = case_of(model, spec, rows)
        shapes = {name: list(a.shape) for name, a in case.batch.items()}
        check(OF_A_GENERATOR, case, f"{shapes}, {case.size} tokens, in float64")


def case_of(model: nn.Module, spec: dict[str, Any], rows: int) -> Case:
    """Random numbers for all that the spec names, and for the parameters."""
    numbers = np.random.default_rng(0)
    inputs, targets = spec["inputs"], spec["targets"]
    answering = targets["per"] == "answer"

    def tokens(size, length):
        return jnp.asarray(numbers.integers(size, size=(rows, length)), jnp.int32)

    if inputs["kind"] == "token":
        batch = {
            "inputs": tokens(inputs["size"], spec["length"]),
            "length_B": jnp.maximum(spec["length"] - 2 * jnp.arange(rows), 1),
        }
    else:
        batch = {"inputs": jnp.asarray(numbers.uniform(size=(rows, *inputs["shape"])))}
    if answering:  # token 0 begins an answer
        batch["read_BT"] = tokens(targets["size"], targets["length"]).at[:, 0].set(0)
    else:
        batch |= dict.fromkeys(("read_BT", "tokens_BT"), batch["inputs"])

    def called(function, batch):
        """The whole pass by `init` or `apply`."""
        if not answering:
            return function(batch["read_BT"])
        targets_BT = jnp.pad(batch["read_BT"][:, 1:], ((0, 0), (0, 1)))  # the last is never read
        return function(batch["inputs"], None, batch.get("length_B"), targets=targets_BT)

    shapes = jax.eval_shape(lambda key: called(partial(model.init, key), batch), jax.random.key(0))
    variables = jax.tree.map(lambda s: jnp.asarray(0.5 * numbers.normal(size=s.shape)), shapes)

    @jax.jit
    def whole(variables, batch):
        return called(partial(model.apply, variables), batch)[1]

    @jax.jit
    def written(variables, batch):
        carry, step = begun(model, variables, batch)
        return jax.lax.scan(step, carry, batch["read_BT"].T)[1].swapaxes(0, 1)

    size = targets["size"]
    return Case(
        model, variables, batch, size, partial(whole, variables), partial(written, variables)
    )


def begun(model, variables, batch):
    """(first carry, step) of the answers, or texts, of a batch."""
    context, carry = model.apply(variables, batch, method="start")
    return carry, partial(model.apply, variables, context, method="step")


def later_tokens_have_no_influence(case: Case) -> None:
    """The logits of a token are those of the tokens before it alone. A walk from the last step, a
    sum over all steps, or targets that are read before they are shifted break this."""
    read_BT = case.batch["read_BT"]
    place = read_BT.shape[1] // 2
    changed = read_BT.at[:, place].set((read_BT[:, place] + 1) % case.size)
    before, after = case.whole(case.batch), case.whole(case.batch | {"read_BT": changed})
    same(after[:, :place], before[:, :place], "logits")


def writing_is_the_whole_pass(case: Case) -> None:
    """`start`, then `step` token by token, gives the logits of the model called once. What one of
    the two leaves out, such as the first carry, a scale or dropout, breaks this."""
    same(case.written(case.batch), case.whole(case.batch), "logits")


def rows_are_alone(case: Case) -> None:
    """A row is the same whatever the others are. Statistics over the batch break this."""
    inputs, read_BT = case.batch["inputs"], case.batch["read_BT"]
    other = {
        "inputs": inputs.at[1:].set(inputs[:1]),
        "read_BT": read_BT.at[1:].set(read_BT[:1]),
    }
    same(case.written(case.batch | other)[0], case.written(case.batch)[0], "logits")


def the_batch_does_not_matter(case: Case) -> None:
    """A row alone is what it is in a batch. What counts rows, and a context or carry whose first
    axis is not that of the rows, break this."""
    alone = jax.tree.map(lambda a: a[-1:], case.batch)
    same(case.written(alone)[0], case.written(case.batch)[-1], "logits")


def a_beam_of_1_is_greedy(case: Case) -> None:
    """A beam search that keeps one candidate takes the likeliest token each time. A carry with
    leaves that are not [B, ...], such as a counter of steps, breaks this: a beam reorders rows."""
    rows, length = case.batch["read_BT"].shape

    @jax.jit
    def both(variables, batch):
        carry, step = begun(case.model, variables, batch)
        first_B, keys_B = jnp.zeros(rows, jnp.int32), jax.random.split(jax.random.key(0), rows)
        # no end before the length: else an answer might be nothing but its end
        options = decoding.Options(length=length, min_length=length, temperature=0.0)
        ones_B = jnp.ones_like(first_B)
        greedy = decoding.sample(step, carry, first_B[:, None], ones_B, keys_B, options, end=0)
        found, _ = decoding.beam(
            step, carry, first_B, 0, decoding.Options(length=length, min_length=length, beam=1)
        )
        return found[:, 0], greedy[:, 1:]

    same(*both(case.variables, case.batch), "tokens")


OF_A_GENERATOR = (
    later_tokens_have_no_influence,
    writing_is_the_whole_pass,
    rows_are_alone,
    the_batch_does_not_matter,
    a_beam_of_1_is_greedy,
)
