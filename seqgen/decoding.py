"""Sequences out of a model's `step`: greedy and sampled, as one scan.

Pure: `step` is (carry, token_B) -> (carry, logits_BV). Every row has a key of its own, so a row's
text depends on neither the batch size nor its neighbours.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from seqgen.errors import out_of_range

Step = Callable[[Any, jax.Array], tuple[Any, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Options:
    length: int = 500  # tokens generated after the prompt
    temperature: float = 1.0  # divides the logits; 0 takes the most likely token (greedy)
    top_k: int | None = None  # sample among the k most likely tokens
    top_p: float | None = None  # sample among the fewest tokens that together have this probability

    def problems(self) -> Iterator[str]:
        return out_of_range(
            self,
            prefix="",
            length="[1, inf)",
            temperature="[0, inf)",
            top_k="[1, inf)",
            top_p="(0, 1]",
        )


def truncate(logits_BV: jax.Array, top_k: int | None, top_p: float | None) -> jax.Array:
    """Logits with everything outside the k most likely, or outside the nucleus, at -inf.

    The nucleus is the shortest prefix of tokens by probability whose mass reaches top_p; the most
    likely token always stays (Holtzman et al. 2020).
    """
    if top_k is not None:
        kept = min(top_k, logits_BV.shape[-1])
        least_B1 = jax.lax.top_k(logits_BV, kept)[0][:, -1:]
        logits_BV = jnp.where(logits_BV < least_B1, -jnp.inf, logits_BV)
    if top_p is not None:
        sorted_BV = jnp.sort(logits_BV, axis=-1, descending=True)
        mass_BV = jax.nn.softmax(sorted_BV, axis=-1)
        before_BV = jnp.cumsum(mass_BV, axis=-1) - mass_BV
        least_B1 = jnp.min(jnp.where(before_BV < top_p, sorted_BV, jnp.inf), axis=-1, keepdims=True)
        logits_BV = jnp.where(logits_BV < least_B1, -jnp.inf, logits_BV)
    return logits_BV


def choose(logits_BV: jax.Array, keys_B: jax.Array, options: Options) -> jax.Array:
    """A token for each row: the likeliest at temperature 0, else a draw with the row's own key."""
    if options.temperature == 0:
        return jnp.argmax(logits_BV, axis=-1)
    logits_BV = truncate(logits_BV / options.temperature, options.top_k, options.top_p)
    return jax.vmap(jax.random.categorical)(keys_B, logits_BV)


def sample(
    step: Step,
    carry: Any,
    prompt_BT: jax.Array,
    length_B: jax.Array,
    keys_B: jax.Array,
    options: Options,
) -> jax.Array:
    """Reads each row's prompt, then generates. Returns tokens [B, T + options.length].

    prompt_BT: token ids, right-padded; length_B: how many of them are real, at least 1. A row is
    its prompt, then generated tokens, more than asked for where the prompt is shorter than T.
    """
    prompt_length = prompt_BT.shape[1]
    total = prompt_length + options.length

    def one_step(state, t):
        carry, token_B = state
        carry, logits_BV = step(carry, token_B)
        keys_t = jax.vmap(jax.random.fold_in, (0, None))(keys_B, t)
        drawn_B = choose(logits_BV, keys_t, options).astype(token_B.dtype)
        forced_B = prompt_BT[:, jnp.minimum(t + 1, prompt_length - 1)]
        token_B = jnp.where(t + 1 < length_B, forced_B, drawn_B)
        return (carry, token_B), token_B

    first_B = prompt_BT[:, 0]
    _, tokens_TB = jax.lax.scan(one_step, (carry, first_B), jnp.arange(total - 1))
    return jnp.concatenate([first_B[:, None], tokens_TB.T], axis=1)
