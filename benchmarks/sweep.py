"""Seeds as lanes of one program against as many processes, whole wall-clock, as ratios.

python benchmarks/sweep.py [--runs=16] [--steps=100,2000] [--peers=alone,cold,torch] [--json=FILE]
(extra `bench`)
The adding problem, 32 rows of 100 steps, an LSTM of 64 units, Adam with clipping; each run is
evaluated once, on 1,000 examples of validation and of test. `lanes` is `train --config.seeds=N`;
`alone` is as many processes of `train`, one after the other, which share the compiled programs that
the first of them leaves; `cold` is the same, but that each of them compiles, as it would on a
machine of its own; `torch` is PyTorch, two processes of one thread at a time. Everything counts:
starting, compiling, what is saved, and the report that each of our runs ends with. Ours begin
without any compiled program.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from seqgen import environment

HERE = Path(__file__).parent
ROWS, LENGTH, UNITS, EVALUATED = 32, 100, 64, 1000


def finished(*command: str, **environ: str) -> None:
    """Runs Python to its end. Ends this process with its last lines if it fails."""
    done = subprocess.run(
        [sys.executable, *command],
        cwd=HERE.parent,
        env=os.environ | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"error: {' '.join(command)} failed: {done.stdout[-2000:]}")


def train(folder: Path, steps: int, workdir: str, *fields: str, cache: str = "cache") -> None:
    fields = (
        f"dataset.batch_size={ROWS}",
        f"dataset.length={LENGTH}",
        f"dataset.test_size={EVALUATED}",
        f"model.hidden_size={UNITS}",
        f"num_steps={steps}",
        f"eval_every={steps}",
        f"checkpoint_every={steps}",
        *fields,
    )
    finished(
        "launch.py",
        "train",
        "--config=experiments/adding.py:lstm",
        f"--workdir={folder / workdir}",
        *(f"--config.{field}" for field in fields),
        XDG_CACHE_HOME=str(folder / cache),
    )


def lanes(folder: Path, runs: int, steps: int) -> None:
    train(folder, steps, "group", f"seeds={runs}")


def alone(folder: Path, runs: int, steps: int) -> None:
    for seed in range(runs):
        train(folder, steps, str(seed), f"seed={seed}")


def cold(folder: Path, runs: int, steps: int) -> None:
    for seed in range(runs):
        train(folder, steps, str(seed), f"seed={seed}", cache=f"cache_{seed}")


def torch(folder: Path, runs: int, steps: int) -> None:
    del folder
    with ThreadPoolExecutor(2) as two:
        list(two.map(lambda seed: finished(__file__, f"--torch={seed},{steps}"), range(runs)))


def torch_run(seed: int, steps: int) -> None:
    """The peer's process: one run."""
    import torch as t

    t.set_num_threads(1)
    t.set_flush_denormal(True)
    t.manual_seed(seed)
    layer, output = t.nn.LSTM(2, UNITS, batch_first=True), t.nn.Linear(UNITS, 1)
    parameters = [*layer.parameters(), *output.parameters()]
    optimizer = t.optim.Adam(parameters, 1e-3)

    def batch(rows):
        numbers_BT = t.rand(rows, LENGTH)
        marked_B2 = t.rand(rows, LENGTH).argsort(1)[:, :2]
        marks_BT = t.zeros(rows, LENGTH).scatter_(1, marked_B2, 1.0)
        total_B = (numbers_BT * marks_BT).sum(1)
        return t.stack([numbers_BT, marks_BT], -1), total_B

    def error(rows):
        x_BTE, total_B = batch(rows)
        return t.mean((output(layer(x_BTE)[0][:, -1])[:, 0] - total_B) ** 2)

    for _ in range(steps):
        optimizer.zero_grad()
        error(ROWS).backward()
        t.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
    with t.no_grad():
        for _ in range(2):
            error(EVALUATED)


PEERS = {"lanes": lanes, "alone": alone, "cold": cold, "torch": torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--steps", default="100,2000")
    parser.add_argument("--peers", default="alone,cold,torch")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--torch", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.torch:
        torch_run(*map(int, given.torch.split(",")))
        return
    found = []
    for steps in map(int, given.steps.split(",")):
        seconds = {}
        for peer in ("lanes", *given.peers.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                began = time.monotonic()
                PEERS[peer](Path(folder), given.runs, steps)
                seconds[peer] = time.monotonic() - began
        ratios = {peer: seconds[peer] / seconds["lanes"] for peer in seconds if peer != "lanes"}
        found.append({"runs": given.runs, "steps": steps, "seconds": seconds, "times": ratios})
        told = ", ".join(f"{peer} {ratio:.2f} times as long" for peer, ratio in ratios.items())
        print(f"{given.runs} runs of {steps} steps: {seconds['lanes']:.1f} s; {told}", flush=True)
    if given.json:
        result = {"environment": environment.record(), "measured": found}
        given.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
