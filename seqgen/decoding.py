"""Sequences out of a model's `step`: greedy, sampled, and by beam search, each as one scan.

Pure: `step` is (carry, token_B) -> (carry, logits_BV). Every row has a key of its own, so a row's
text depends on neither the batch size nor its neighbours.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp

from seqgen.errors import out_of_range

GROUP = 64  # elements of a wide row whose largest is looked at first
Step = Callable[[Any, jax.Array], tuple[Any, jax.Array]]


@dataclasses.dataclass(frozen=True)
class Options:
    length: int | None = None  # tokens generated after the prompt; None: as the data suggest
    min_length: int | None = None  # tokens of an answer at least, its end not counted
    temperature: float = 1.0  # divides the logits; 0 takes the most likely token (greedy)
    top_k: int | None = None  # sample among the k most likely tokens
    top_p: float | None = None  # sample among the fewest tokens that together have this probability
    beam: int | None = None  # search for the likeliest answer, so many candidates at a time
    length_power: float = 0.0  # a beam's scores are divided by length ** this; 1: mean per token
    n_best: int | None = None  # list so many of a beam's answers, each with its log-likelihood

    def problems(self) -> Iterator[str]:
        yield from out_of_range(
            self,
            prefix="",
            length="[1, inf)",
            min_length="[0, inf)",
            temperature="[0, inf)",
            top_k="[1, inf)",
            top_p="(0, 1]",
            beam="[1, inf)",
            length_power="[0, inf)",
            n_best="[1, inf)",
        )
        if self.n_best is not None and (self.beam is None or self.n_best > self.beam):
            yield f"n_best={self.n_best} answers take a beam of so many, not {self.beam}"
        drawn = self.top_k is not None or self.top_p is not None or self.temperature not in (0, 1)
        if self.beam is not None and drawn:
            yield "a beam draws nothing: leave out temperature, top_k and top_p"
        if self.beam is None and self.length_power != 0:
            yield f"length_power={self.length_power} is for the scores of a beam, and there is none"
        if None not in (self.min_length, self.length) and self.min_length > self.length:
            yield f"min_length={self.min_length} is more than the length of {self.length}"


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
    end: int | None = None,
) -> jax.Array:
    """Reads each row's prompt, then generates. Returns tokens [B, T + options.length].

    prompt_BT: token ids, right-padded; length_B: how many of them are real, at least 1. A row is
    its prompt, then generated tokens, more than asked for where the prompt is shorter than T; after
    a generated `end`, if there is such a token, it is `end` only.
    """
    prompt_length = prompt_BT.shape[1]
    total = prompt_length + options.length

    def one_step(state, t):
        carry, token_B, ended_B = state
        carry, logits_BV = step(carry, token_B)
        if end is not None:
            logits_BV = late_end(logits_BV, t + 1 - prompt_length, end, options.min_length)
        keys_t = jax.vmap(jax.random.fold_in, (0, None))(keys_B, t)
        drawn_B = choose(logits_BV, keys_t, options).astype(token_B.dtype)
        forced_B = prompt_BT[:, jnp.minimum(t + 1, prompt_length - 1)]
        is_prompt_B = t + 1 < length_B
        token_B = jnp.where(is_prompt_B, forced_B, drawn_B)
        if end is not None:
            token_B = jnp.where(ended_B, end, token_B)
            ended_B |= ~is_prompt_B & (token_B == end)
        return (carry, token_B, ended_B), token_B

    first_B = prompt_BT[:, 0]
    state = carry, first_B, jnp.zeros(first_B.shape, bool)
    _, tokens_TB = jax.lax.scan(one_step, state, jnp.arange(total - 1))
    return jnp.concatenate([first_B[:, None], tokens_TB.T], axis=1)


def late_end(
    logits_XV: jax.Array, written: jax.Array, end: int, min_length: int | None
) -> jax.Array:
    """Logits without `end` while fewer than `min_length` tokens are written."""
    if min_length is None:
        return logits_XV
    return logits_XV.at[..., end].set(
        jnp.where(written < min_length, -jnp.inf, logits_XV[..., end])
    )


def beam(
    step: Step, carry: Any, first_B: jax.Array, end: int, options: Options
) -> tuple[jax.Array, jax.Array]:
    """The `options.beam` best answers of a beam search, best first.

    A finished answer keeps its place in the beam for as long as none that is better pushes it out,
    so a beam of 1 is greedy, and one that holds all answers is exhaustive search. All are compared
    by log-likelihood / length ** length_power, the length counting the end.

    Args:
      step: as for `sample`, for rows of `options.beam` candidates each: [B * beam].
      carry: of B * beam equal rows.
      first_B: the token that answers begin after.
      end: the token that ends them.
      options: `length` is the longest answer, its end included.

    Returns:
      Tokens [B, beam, length], `end` past their ends, and log-likelihoods [B, beam] in nats.
      An answer that has not ended by then stands as it is.
    """
    rows, width = first_B.shape[0], options.beam
    # at first all candidates of a row are one: the others must not fill the beam with copies
    likely_BW = jnp.full((rows, width), -jnp.inf).at[:, 0].set(0.0)
    state = (
        carry,
        jnp.full((rows, width, options.length), end, first_B.dtype),
        jnp.repeat(first_B[:, None], width, axis=1),
        likely_BW,
        jnp.ones((rows, width)),
        jnp.zeros((rows, width), bool),
    )

    def one_step(state, t):
        carry, tokens_BWT, last_BW, likely_BW, length_BW, ended_BW = state
        carry, logits_XV = step(carry, last_BW.reshape(-1))
        log_p_XK, token_XK = likeliest(logits_XV, width, t, end, options.min_length)
        log_p_BWK, token_BWK = (x.reshape(rows, width, -1) for x in (log_p_XK, token_XK))
        kept = log_p_BWK.shape[-1]
        # what has ended can go on with its end alone, and surely does
        ended_BW1, only_K = ended_BW[..., None], jnp.where(jnp.arange(kept) == 0, 0.0, -jnp.inf)
        log_p_BWK = jnp.where(ended_BW1, only_K[None, None], log_p_BWK)
        token_BWK = jnp.where(ended_BW1, end, token_BWK)
        total_BWK = likely_BW[..., None] + log_p_BWK
        longer_BW = jnp.where(ended_BW, length_BW, t + 1.0)
        score_BWK = total_BWK / longer_BW[..., None] ** options.length_power
        _, best_BW = jax.lax.top_k(score_BWK.reshape(rows, -1), width)
        parent_BW = best_BW // kept
        likely_BW = jnp.take_along_axis(total_BWK.reshape(rows, -1), best_BW, axis=1)
        token_BW = jnp.take_along_axis(token_BWK.reshape(rows, -1), best_BW, axis=1)
        token_BW = token_BW.astype(last_BW.dtype)
        tokens_BWT = jnp.take_along_axis(tokens_BWT, parent_BW[..., None], axis=1)
        tokens_BWT = tokens_BWT.at[:, :, t].set(token_BW)
        length_BW = jnp.take_along_axis(longer_BW, parent_BW, axis=1)
        ended_BW = jnp.take_along_axis(ended_BW, parent_BW, axis=1) | (token_BW == end)
        parent_X = (jnp.arange(rows)[:, None] * width + parent_BW).reshape(-1)
        carry = jax.tree.map(lambda x: jnp.take(x, parent_X, axis=0), carry)
        return (carry, tokens_BWT, token_BW, likely_BW, length_BW, ended_BW), None

    (_, tokens_BWT, _, likely_BW, _, _), _ = jax.lax.scan(
        one_step, state, jnp.arange(options.length)
    )
    return tokens_BWT, likely_BW


def likeliest(
    logits_XV: jax.Array, count: int, written: jax.Array, end: int, min_length: int | None
) -> tuple[jax.Array, jax.Array]:
    """(log-probabilities, tokens) of the `count` likeliest tokens that may follow, or of all.

    No other of a candidate's continuations can be among as many of the best of its whole beam. The
    probabilities are the model's: an end that may not be yet leaves its mass to no other token.
    """
    all_X = jax.nn.logsumexp(logits_XV, axis=-1)
    logits_XV = late_end(logits_XV, written, end, min_length)
    logits_XK, token_XK = largest(logits_XV, min(count, logits_XV.shape[-1]))
    return logits_XK - all_X[:, None], token_XK


def largest(x_XV: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """`jax.lax.top_k`, several times as fast on a CPU where the rows are wide.

    The largest elements lie in the groups whose own largest are the largest; equal ones are told
    apart by their place, and groups are in the order of places.
    """
    groups = x_XV.shape[-1] // GROUP
    if groups <= 2 * count:
        return jax.lax.top_k(x_XV, count)
    highest_XG = jnp.max(x_XV[:, : groups * GROUP].reshape(-1, groups, GROUP), axis=-1)
    group_XK = jnp.sort(jax.lax.top_k(highest_XG, count)[1], axis=-1)
    inside_XKI = group_XK[..., None] * GROUP + jnp.arange(GROUP)[None, None]
    rest_XR = jnp.arange(groups * GROUP, x_XV.shape[-1])[None].repeat(len(x_XV), axis=0)
    place_XN = jnp.concatenate([inside_XKI.reshape(len(x_XV), -1), rest_XR], axis=-1)
    value_XK, chosen_XK = jax.lax.top_k(jnp.take_along_axis(x_XV, place_XN, axis=-1), count)
    return value_XK, jnp.take_along_axis(place_XN, chosen_XK, axis=-1)
