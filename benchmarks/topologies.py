"""A training step of whole models against the same models in PyTorch, as ratios of medians.

python benchmarks/topologies.py [--rounds=7] [--json=FILE]     (extra `bench`)
`translation` is the model of experiments/translation.py with all of its options: a bidirectional
encoder, a decoder with attention, tied embeddings, label smoothing, dropout with one mask for all
steps, AdamW, clipping and averaged weights. Ours is the train step of every run, with all that it
logs and guards. Each peer is a process that is asked in turn (`processes.py`).
"""

import argparse
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import processes

from seqgen import environment

HERE = Path(__file__).parent
# rows, tokens of input and answer (those of a row all real), and the two vocabularies
SHAPES = {"translation": (128, 30, 30, 8_000, 6_000)}


def experiment(name: str) -> Any:
    return runpy.run_path(str(HERE.parent / "experiments" / f"{name}.py"))["get_config"]()


def batch_of(shape: tuple[int, ...]) -> dict[str, Any]:
    """Sentences and answers, the same for both sides; an answer's last token is its end."""
    import numpy as np

    rows, read, written, size_in, size_out = shape
    generator = np.random.default_rng(0)
    answers = generator.integers(2, size_out, (rows, written), dtype=np.int32)
    answers[:, -1] = 0
    return {
        "inputs": generator.integers(1, size_in, (rows, read), dtype=np.int32),
        "length_B": np.full(rows, read, np.int32),
        "targets": answers,
        "weight_B": np.ones(rows, np.float32),
    }


def seqgen(name: str):
    from peers import trained

    from seqgen import backend, optimizer
    from seqgen import config as configs

    rows, read, written, size_in, size_out = SHAPES[name]
    backend.start(rows, compilation_cache=False)
    config = configs.settled(experiment(name), None)
    answer = {"kind": "category", "size": size_out, "per": "answer", "length": written}
    spec = {
        "dataset": name,
        "length": read,
        "streamed": False,
        "inputs": {"kind": "token", "size": size_in},
        "targets": answer,
        "unit": "word",
    }
    run = configs.options(config)
    chain = optimizer.make(configs.options(config, "optimizer"), run.schedule_steps)
    objective, batch = configs.assemble(config, spec), batch_of(SHAPES[name])
    return trained(objective, chain, batch, run, rows, rows * (read + written)).run


def torch(name: str):
    import torch as t
    from torch.optim import swa_utils

    t.set_flush_denormal(True)
    config = experiment(name)
    model, batch = translation(config.model, SHAPES[name]), batch_of(SHAPES[name])
    inputs, targets = (t.from_numpy(batch[key]).long() for key in ("inputs", "targets"))
    averaged = swa_utils.AveragedModel(
        model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(config.ema)
    )
    rate = config.optimizer.learning_rate
    optimizer = t.optim.AdamW(
        model.parameters(), rate, weight_decay=config.optimizer.weight_decay, fused=True
    )

    def run(steps):
        for _ in range(steps):
            optimizer.zero_grad()
            loss = t.nn.functional.cross_entropy(
                model(inputs, targets).flatten(0, 1),
                targets.flatten(),
                label_smoothing=config.objective.label_smoothing,
            )
            loss.backward()
            t.nn.utils.clip_grad_norm_(model.parameters(), config.optimizer.clip_norm)
            optimizer.step()
            averaged.update_parameters(model)

    return run


def translation(o: Any, shape: tuple[int, ...]):
    """Encoder and decoder with general attention, for rows without padding."""
    import torch as t

    _, _, _, size_in, size_out = shape

    def dropped(x_BTE, rate):
        mask_B1E = t.empty(x_BTE.shape[0], 1, x_BTE.shape[2]).bernoulli_(1 - rate)
        return x_BTE * mask_B1E / (1 - rate)

    class Translation(t.nn.Module):
        def __init__(self):
            super().__init__()
            embedding, units = o.embedding_size, o.hidden_size
            self.source = t.nn.Embedding(size_in, embedding)
            self.target = t.nn.Embedding(size_out, embedding)
            self.encoder = t.nn.LSTM(embedding, units, batch_first=True, bidirectional=True)
            self.decoder = t.nn.LSTM(embedding, units, batch_first=True)
            self.bridge = t.nn.ModuleList(t.nn.Linear(2 * units, units) for _ in range(2))
            self.to_key = t.nn.Linear(2 * units, units, bias=False)
            self.combine = t.nn.Linear(3 * units, embedding)

        def forward(self, inputs, targets):
            read_BSE, ends = self.encoder(dropped(self.source(inputs), o.input_dropout))
            carry = tuple(
                dense(t.cat((end[0], end[1]), -1))[None]
                for dense, end in zip(self.bridge, ends, strict=True)
            )
            before_BT = t.nn.functional.pad(targets[:, :-1], (1, 0))
            h_BTD, _ = self.decoder(dropped(self.target(before_BT), o.input_dropout), carry)
            score_BTS = h_BTD @ self.to_key(read_BSE).transpose(1, 2)
            seen_BTE = score_BTS.softmax(-1) @ read_BSE
            vector_BTE = self.combine(t.cat((h_BTD, seen_BTE), -1)).tanh()
            return dropped(vector_BTE, o.output_dropout) @ self.target.weight.T

    return Translation()


PEERS = {"seqgen": seqgen, "torch": torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    peers, rows = {peer: processes.start(Path(__file__), peer) for peer in PEERS}, []
    for name, shape in SHAPES.items():
        ms = processes.medians(peers, given.rounds, name, 1)
        rows.append({"model": name, "shape": shape, "ms": ms, "ratio": ms["torch"] / ms["seqgen"]})
        print(f"{name} {shape}: {ms['seqgen']:.0f} ms, PyTorch {rows[-1]['ratio']:.2f}x")
    for process in peers.values():
        process.stdin.close()
    if given.json:
        found = {"machine": environment.record(), "topologies": rows}
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    if len(sys.argv) == 2 and sys.argv[1] in PEERS:
        processes.serve(PEERS[sys.argv[1]])
    else:
        main()
