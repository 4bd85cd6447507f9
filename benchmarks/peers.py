"""One process of the recurrence benchmark: the same training step in one framework.

`recurrence.py` starts it as `python benchmarks/peers.py PEER` and writes one JSON request a line:
{"case": ..., "steps": n} is answered with the milliseconds of a step, averaged over n of them, and
{"case": ..., "about": true} with what is known of the compiled step. A step is forward, backward
and SGD in float32 on a constant batch; SGD's rate is too small to change what is computed. Ours is
the train step of every run, with all that it logs and guards.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

RATE = 1e-6
VOCABULARY = 10_000


class Case(NamedTuple):
    """One shape of a training step."""

    cell: str  # lstm, gru, rnn
    batch: int
    steps: int
    inputs: int  # features, or the width of the embedding of a language model
    units: int
    loss: str  # of "all" outputs, of the "last" one, or of a 2-layer language model: "words"
    product: str | None  # dtype of the matrix products, where it is not float32


def batch_of(case: Case) -> dict[str, Any]:
    """Inputs (and the next words), the same for every peer."""
    import numpy as np

    generator = np.random.default_rng(0)
    if case.loss == "words":
        words = generator.integers(0, VOCABULARY, (case.batch, case.steps + 1), dtype=np.int32)
        return {"x": words[:, :-1], "target": words[:, 1:]}
    return {"x": generator.normal(size=(case.batch, case.steps, case.inputs)).astype(np.float32)}


class Step(NamedTuple):
    """A built training step: `run(n)` runs n of them to their end."""

    run: Callable[[int], None]
    about: dict[str, float]


def compiled(jitted: Any, state: Any, batch: dict[str, Any], devices: int) -> Step:
    """Compiles state, batch -> state (or a tuple that begins with it), and keeps the state."""
    import jax

    start = time.perf_counter()
    lowered = jitted.lower(state, batch)
    traced = time.perf_counter()
    program = lowered.compile()
    about = {
        "trace_s": traced - start,
        "compile_s": time.perf_counter() - traced,
        "memory_mb": devices * program.memory_analysis().temp_size_in_bytes / 1e6,
    }

    def run(steps):
        nonlocal state
        for _ in range(steps):
            moved = program(state, batch)
            state = moved[0] if isinstance(moved, tuple) else moved
        jax.block_until_ready(state)

    run(1)
    return Step(run, about | {"first_s": time.perf_counter() - start})


def jax_step(loss: Callable, params: Any, batch: dict[str, Any]) -> Step:
    """A peer's jitted step: the gradient of its loss, and SGD."""
    import jax

    def descend(params, batch):
        grads = jax.grad(loss)(params, batch)
        return jax.tree.map(lambda p, g: p - RATE * g, params, grads)

    return compiled(jax.jit(descend, donate_argnums=0), params, jax.device_put(batch), 1)


def mean_square(h: Any) -> Any:
    return (h * h).mean()


def seqgen(case: Case) -> Step:
    import flax.linen as nn
    import jax.numpy as jnp
    import optax

    from seqgen import backend, optimizer
    from seqgen.config import RunOptions
    from seqgen.layers import Recurrent, RecurrentOptions
    from seqgen.objectives import Objective, Player

    class Words(nn.Module):
        @nn.compact
        def __call__(self, batch):
            x_BTE = nn.Embed(VOCABULARY, case.inputs)(batch["x"])
            _, h_BTD = Recurrent(options)(x_BTE)
            logits_BTV = nn.Dense(VOCABULARY)(h_BTD)
            return optax.softmax_cross_entropy_with_integer_labels(logits_BTV, batch["target"])

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, batch):
            (((*_, last_BD),),), h_BTD = Recurrent(options)(batch["x"])
            return jnp.square(h_BTD if case.loss == "all" else last_BD)

    def loss(own, params, memory, batch, clock):
        errors = model.apply(own, batch)
        return jnp.sum(errors), (jnp.float32(errors.size), memory, {"loss": jnp.sum(errors)})

    words = case.loss == "words"
    options = RecurrentOptions(
        cell=case.cell,
        hidden_size=case.units,
        num_layers=2 if words else 1,
        product_dtype=case.product,
    )
    model, batch, run = Words() if words else Layer(), batch_of(case), RunOptions()
    backend.start(case.batch, compilation_cache=False)
    if "SEQGEN_BENCHMARK_CACHE" in os.environ:
        backend.keep_compiled(Path(os.environ["SEQGEN_BENCHMARK_CACHE"]))
    objective = Objective(
        players=(Player("model", 1, loss),),
        init=lambda key, batch: (
            {"model": model.init(key, batch)},
            {"rows": None, "shared": None},
        ),
        **dict.fromkeys(("measure", "finalize", "reports", "generate")),  # none are for training
    )
    chain = optimizer.make(optimizer.Options(rule="sgd", learning_rate=RATE), 1)
    return trained(objective, chain, batch, run, case.batch, case.batch * case.steps)


def trained(
    objective: Any,
    chain: Any,
    batch: dict[str, Any],
    run: Any,
    rows: int,
    time_steps: int,
    interval: int = 1,
) -> Step:
    """Our train step as a run compiles it, on a constant batch.

    Of as many steps in one dispatch as a run that looks up every `interval` steps has, at most
    `interval`: its `run(n)` must be of a multiple of that.
    """
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    from seqgen import session
    from seqgen import step as steps

    chains = {player.name: chain for player in objective.players}
    begin = lambda: steps.init(objective, chains, batch, run, larger_is_better=False)  # noqa: E731
    shapes = jax.eval_shape(begin)
    layout = session.lay_out(shapes, rows=rows, time_steps=time_steps, intervals=(interval,))
    mesh = jax.make_mesh((layout.devices,), ("batch",), (jax.sharding.AxisType.Auto,))
    everywhere = NamedSharding(mesh, PartitionSpec())
    placed = steps.shardings(mesh, shapes)

    def step_on(arrays):
        return steps.make_step(objective, chains, lambda index, key: arrays, run, mesh)

    together = layout.steps_per_call
    step = compiled(
        session.program(step_on, together, layout, (placed, everywhere)),
        jax.jit(begin, out_shardings=placed)(),
        jax.device_put(batch, everywhere),
        layout.devices,
    )
    return step._replace(run=lambda count: step.run(-(-count // together)))


def flax(case: Case) -> Step:
    import flax.linen as nn
    import jax
    import optax

    kind = {"lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell, "rnn": nn.SimpleCell}[case.cell]

    def layer(**how):
        return nn.RNN(kind(case.units, dtype=case.product), **how)

    class Words(nn.Module):
        @nn.compact
        def __call__(self, batch):
            x = nn.Embed(VOCABULARY, case.inputs)(batch["x"])
            logits = nn.Dense(VOCABULARY)(layer()(layer()(x)))
            return optax.softmax_cross_entropy_with_integer_labels(logits, batch["target"]).mean()

    class Layer(nn.Module):
        @nn.compact
        def __call__(self, batch):
            carry, h = layer(return_carry=True)(batch["x"])
            last = carry[-1] if case.cell == "lstm" else carry
            return mean_square(h if case.loss == "all" else last)

    model, batch = Words() if case.loss == "words" else Layer(), batch_of(case)
    return jax_step(model.apply, model.init(jax.random.key(0), batch), batch)


def keras(case: Case) -> Step:
    os.environ["KERAS_BACKEND"] = "jax"
    import keras as k
    import optax

    kind = {"lstm": k.layers.LSTM, "gru": k.layers.GRU, "rnn": k.layers.SimpleRNN}[case.cell]
    policy = {None: "float32", "bfloat16": "mixed_bfloat16"}[case.product]

    def layer(sequences=True):
        return kind(case.units, return_sequences=sequences, dtype=policy)

    batch = batch_of(case)
    inputs = k.Input(batch["x"].shape[1:], dtype=str(batch["x"].dtype))
    if case.loss == "words":
        hidden = layer()(layer()(k.layers.Embedding(VOCABULARY, case.inputs)(inputs)))
        model = k.Model(inputs, k.layers.Dense(VOCABULARY)(hidden))
    else:
        model = k.Model(inputs, layer(case.loss == "all")(inputs))
    fixed = [v.value for v in model.non_trainable_variables]

    def loss(params, batch):
        outputs, _ = model.stateless_call(params, fixed, batch["x"])
        if case.loss == "words":
            return optax.softmax_cross_entropy_with_integer_labels(outputs, batch["target"]).mean()
        return mean_square(outputs)

    return jax_step(loss, [v.value for v in model.trainable_variables], batch)


def torch(case: Case) -> Step:
    import torch as t

    # the gradients of a long sequence fade into denormal numbers, which are slow, and not here
    t.set_flush_denormal(True)
    kind = {"lstm": t.nn.LSTM, "gru": t.nn.GRU, "rnn": t.nn.RNN}[case.cell]
    batch = {name: t.from_numpy(array).clone() for name, array in batch_of(case).items()}
    words = case.loss == "words"
    layer = kind(case.inputs, case.units, num_layers=2 if words else 1, batch_first=True)
    embed, output = t.nn.Embedding(VOCABULARY, case.inputs), t.nn.Linear(case.units, VOCABULARY)
    modules = t.nn.ModuleList([embed, layer, output] if words else [layer])
    optimizer = t.optim.SGD(modules.parameters(), RATE)

    def loss():
        if words:
            logits = output(layer(embed(batch["x"]))[0])
            return t.nn.functional.cross_entropy(
                logits.flatten(0, 1), batch["target"].flatten().long()
            )
        outputs, last = layer(batch["x"])
        last = last[0] if case.cell == "lstm" else last
        return mean_square(outputs if case.loss == "all" else last)

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            with t.autocast("cpu", t.bfloat16, enabled=case.product is not None):
                value = loss()
            value.backward()
            optimizer.step()

    return Step(run, {})


PEERS = {"seqgen": seqgen, "flax": flax, "keras": keras, "torch": torch}


def main() -> None:
    built = {}
    for line in sys.stdin:
        request = json.loads(line)
        case = Case(*request["case"])
        if case not in built:
            built.clear()  # one case at a time, or the memory of all of them adds up
            try:
                built[case] = PEERS[sys.argv[1]](case)
                built[case].run(1)
            except RuntimeError as error:
                if case.product is None:
                    raise
                # PyTorch has bfloat16 on some processors only
                built[case] = Step(lambda steps: None, {"lacks": str(error)[:200]})
        if "about" in request:
            answer = built[case].about
        elif "lacks" in built[case].about:
            answer = None
        else:
            start = time.perf_counter()
            built[case].run(request["steps"])
            answer = 1e3 * (time.perf_counter() - start) / request["steps"]
        print("answer", json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
