"""Generated tokens per second against a plain PyTorch loop over the same model, as ratios.

python benchmarks/decoding.py [--rounds=7] [--json=FILE]     (extra `bench`)
Both sides have the same weights and write the same number of tokens, greedy or by beam search.
Ours goes through the model's `start` and `step` and `seqgen.decoding`, one dispatch for a whole
text, as the verb generate does. Each peer is a process that is asked in turn (`processes.py`).
"""

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import processes

from seqgen import environment


class Case(NamedTuple):
    """What is written, by which model."""

    batch: int
    beam: int | None  # None: greedy
    layers: int
    units: int
    vocabulary: int
    embedding: int | None  # None: one-hot
    length: int
    product: str | None  # dtype of the recurrent products, where it is not float32


CHARACTERS = {"layers": 1, "units": 384, "vocabulary": 65, "embedding": None, "length": 200}
WORDS = {"layers": 2, "units": 512, "vocabulary": 10_000, "embedding": 512, "length": 16}
# what is measured, and how many texts in a block
CASES = (
    (Case(1, None, **CHARACTERS, product=None), 5),
    (Case(16, None, **CHARACTERS, product=None), 3),
    (Case(1, 5, **CHARACTERS, product=None), 3),
    (Case(16, 5, **CHARACTERS, product=None), 1),
    (Case(64, None, **WORDS, product=None), 1),
    (Case(64, 5, **WORDS, product=None), 1),
    (Case(64, None, **WORDS, product="bfloat16"), 1),
    (Case(64, 5, **WORDS, product="bfloat16"), 1),
)


def weights_of(case: Case) -> dict[str, Any]:
    """Our parameters of the model, drawn without JAX so that both sides have them."""
    import numpy as np

    generator = np.random.default_rng(0)

    def drawn(rows, columns):
        return (generator.normal(size=(rows, columns)) / np.sqrt(rows)).astype(np.float32)

    params: dict[str, Any] = {"recurrent": {}}
    width = case.vocabulary
    if case.embedding is not None:
        width = case.embedding
        params["tokens"] = {"table": {"embedding": drawn(case.vocabulary, width)}}
    for layer in range(case.layers):
        params["recurrent"][f"layer_{layer}"] = {
            "w_x_EG": drawn(width, 4 * case.units),
            "w_h_DG": drawn(case.units, 4 * case.units),
            "b_G": np.zeros(4 * case.units, np.float32),
        }
        width = case.units
    bias = np.zeros(case.vocabulary, np.float32)
    params["output"] = {"kernel": 4 * drawn(width, case.vocabulary), "bias": bias}
    return params


def seqgen(case: Case):
    import jax
    import jax.numpy as jnp

    from seqgen import backend, decoding, generate, plan
    from seqgen.models import many_to_many

    backend.start(generate.BLOCK, compilation_cache=False)
    options = many_to_many.Options(
        hidden_size=case.units,
        num_layers=case.layers,
        embedding_size=case.embedding,
        product_dtype=case.product,
    )
    model = many_to_many.ManyToMany(options, "token", case.vocabulary, case.vocabulary)
    params = jax.device_put(weights_of(case))
    how = decoding.Options(length=case.length, temperature=0.0, beam=case.beam)

    @partial(jax.jit, compiler_options=plan.writing_options(jax.default_backend()))
    def write(params, first_B):
        rows = case.batch * (case.beam or 1)
        inputs = {"tokens_BT": jnp.zeros((rows, 1), jnp.int32)}
        context, carry = model.apply({"params": params}, inputs, method="start")

        def step(carry, token_X):
            return model.apply({"params": params}, context, carry, token_X, method="step")

        if case.beam is not None:
            return decoding.beam(step, carry, first_B, 0, how)[0][:, 0]
        keys_B = jax.random.split(jax.random.key(0), case.batch)  # greedy: of no effect
        ones_B = jnp.ones_like(first_B)
        return decoding.sample(step, carry, first_B[:, None], ones_B, keys_B, how)[:, 1:]

    first_B = jnp.arange(1, 1 + case.batch, dtype=jnp.int32)

    def run(steps):
        for _ in range(steps):
            tokens_BT = jax.block_until_ready(write(params, first_B))
        return tokens_BT

    return run


def torch(case: Case):
    import torch as t

    t.set_flush_denormal(True)
    layers, read = torch_model(case)

    dtype = t.float32 if case.product is None else getattr(t, case.product)
    layers["cells"].to(dtype)

    def step(states, token_X):
        x_XE, stepped = read(token_X).to(dtype), []
        for cell, state in zip(layers["cells"], states, strict=True):
            x_XE, c_XD = cell(x_XE, state)
            stepped.append((x_XE, c_XD))
        return stepped, layers["output"](x_XE.float())

    rows = case.batch * (case.beam or 1)
    first_B = t.arange(1, 1 + case.batch)

    @t.no_grad()
    def write():
        zeros = t.zeros(rows, case.units, dtype=dtype)
        states = [(zeros, zeros)] * case.layers
        if case.beam is not None:
            return torch_beam(case, step, states, first_B)[:, 0]
        token_B, written = first_B, []
        for _ in range(case.length):
            states, logits_BV = step(states, token_B)
            token_B = logits_BV.argmax(-1)
            written.append(token_B)
        return t.stack(written, 1)

    def run(steps):
        for _ in range(steps):
            tokens_BT = write()
        return tokens_BT

    try:
        run(1)
    except RuntimeError:
        if case.product is None:
            raise
        return None  # PyTorch has bfloat16 on some processors only
    return run


def torch_model(case: Case):
    """(cells and output layer with our weights, what maps tokens to features)."""
    import torch as t

    params = weights_of(case)
    taken = lambda array: t.nn.Parameter(t.from_numpy(array).contiguous())  # noqa: E731
    cells, width = t.nn.ModuleList(), case.embedding or case.vocabulary
    for layer in range(case.layers):
        cell, own = t.nn.LSTMCell(width, case.units), params["recurrent"][f"layer_{layer}"]
        cell.weight_ih, cell.weight_hh = taken(own["w_x_EG"].T), taken(own["w_h_DG"].T)
        cell.bias_ih, cell.bias_hh = taken(own["b_G"]), taken(0 * own["b_G"])
        cells.append(cell)
        width = case.units
    output = t.nn.Linear(case.units, case.vocabulary)
    output.weight, output.bias = (taken(params["output"][n].T) for n in ("kernel", "bias"))
    layers = t.nn.ModuleDict({"cells": cells, "output": output})
    if case.embedding is None:
        one_hot = t.eye(case.vocabulary) * case.vocabulary**0.5
        return layers, lambda token_X: one_hot[token_X]
    table = t.from_numpy(params["tokens"]["table"]["embedding"]) * case.embedding**0.5
    return layers, lambda token_X: t.nn.functional.embedding(token_X, table)


def torch_beam(case: Case, step, states, first_B):
    """Beam search over batched rows, finished answers keeping their place: tokens [B, beam, T]."""
    import torch as t

    rows, width, size, end = case.batch, case.beam, case.vocabulary, 0
    likely_BW = t.full((rows, width), -t.inf)
    likely_BW[:, 0] = 0
    token_BW = first_B[:, None].expand(rows, width)
    tokens_BWT = t.full((rows, width, case.length), end)
    ended_BW = t.zeros(rows, width, dtype=t.bool)
    only_end_V = t.full((size,), -t.inf)
    only_end_V[end] = 0
    offset_B1 = width * t.arange(rows)[:, None]
    for place in range(case.length):
        states, logits_XV = step(states, token_BW.reshape(-1))
        log_p_BWV = t.log_softmax(logits_XV, -1).view(rows, width, size)
        log_p_BWV = t.where(ended_BW[..., None], only_end_V, log_p_BWV)
        total_BX = (likely_BW[..., None] + log_p_BWV).view(rows, -1)
        likely_BW, best_BW = total_BX.topk(width)
        parent_BW, token_BW = best_BW // size, best_BW % size
        parent_X = (offset_B1 + parent_BW).view(-1)
        states = [tuple(s.index_select(0, parent_X) for s in state) for state in states]
        tokens_BWT = tokens_BWT.view(-1, case.length).index_select(0, parent_X)
        tokens_BWT = tokens_BWT.view(rows, width, -1)
        tokens_BWT[:, :, place] = token_BW
        ended_BW = ended_BW.view(-1)[parent_X].view(rows, width) | (token_BW == end)
    return tokens_BWT


PEERS = {"seqgen": seqgen, "torch": torch}


def row_of(case: Case, ms: dict[str, float], torch_float32: float) -> dict[str, Any]:
    tokens = case.batch * case.length
    peer = ms.get("torch", torch_float32)
    return {
        "case": case._asdict(),
        "tokens_per_second": {name: 1e3 * tokens / value for name, value in ms.items()},
        "ratio": peer / ms["seqgen"],
        "torch_products": (case.product or "float32") if "torch" in ms else "float32",
    }


def described(row: dict[str, Any]) -> str:
    case = Case(**row["case"])
    how = "greedy" if case.beam is None else f"beam {case.beam}"
    model = f"LSTM {case.layers} x {case.units}, {case.vocabulary} tokens, {how}, B {case.batch}"
    rates = ", ".join(f"{n} {rate:,.0f}" for n, rate in row["tokens_per_second"].items())
    return (
        f"{model:52} {case.product or 'float32':8} {row['ratio']:5.2f}x PyTorch in "
        f"{row['torch_products']} ({rates} tokens/s)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    peers = {peer: processes.start(Path(__file__), peer) for peer in PEERS}
    rows, float32 = [], {}  # PyTorch's times in float32, for processors on which it has no other
    for case, steps in CASES:
        ms = processes.medians(peers, given.rounds, list(case), steps)
        same = case._replace(product=None)
        float32.setdefault(same, ms.get("torch"))
        rows.append(row_of(case, ms, float32[same]))
        print(described(rows[-1]), flush=True)
    for process in peers.values():
        process.stdin.close()
    if given.json:
        found = {"machine": environment.record(), "decoding": rows}
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in PEERS:
        processes.serve(lambda case: PEERS[sys.argv[1]](Case(*case)))
    else:
        main()
