"""Recurrent training steps against named peers, process by process in turn, as ratios of medians.

python benchmarks/recurrence.py [--rounds=7] [--cells=lstm,gru,rnn] [--products=float32,bfloat16]
    [--json=FILE]     (extra `bench`)
Each peer is one long-lived process of `peers.py` with all cores; a round asks every one for a block
of steps. Then: a long sequence, compiling, a second process with the compilation cache, and the
steps per second of a tiny model through the train loop (`dispatch.py`).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import processes
from processes import ask

from seqgen import environment

HERE = Path(__file__).parent
PEERS = ("seqgen", "flax", "keras", "torch")
# B, T, E, D, loss, steps in a block
SHAPES = (
    (32, 128, 128, 128, "all", 20),
    (32, 1000, 2, 100, "last", 4),
    (128, 784, 1, 128, "last", 2),
    (64, 256, 256, 512, "all", 1),
    (32, 64, 650, 650, "words", 1),
)
NARROW_SHAPES = SHAPES[:2]  # those also measured with bfloat16 products; some CPUs emulate those
LONG = (32, 10_000, 2, 100, "last", 1)


def start(peer: str, **environ: str) -> subprocess.Popen:
    return processes.start(HERE / "peers.py", peer, **environ)


def measure(case: list, steps: int, rounds: int, peers: dict[str, subprocess.Popen]) -> dict:
    """Median milliseconds a step of every peer, and what is known of the compiled steps."""
    # compiled and warm before the clock starts; some peers lack bfloat16 on some processors
    peers = {n: p for n, p in peers.items() if ask(p, case=case, steps=1) is not None}
    times = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer, process in peers.items():
            times[peer].append(ask(process, case=case, steps=steps))
    return {
        "cell": case[0],
        "shape": case[1:6],
        "products": case[6] or "float32",
        "ms": {peer: statistics.median(values) for peer, values in times.items()},
        "best_ms": {peer: min(values) for peer, values in times.items()},
        "about": {peer: ask(peers[peer], case=case, about=True) for peer in peers},
    }


def described(row: dict) -> str:
    ours = row["ms"]["seqgen"]
    ratios = (f"{peer} {ms / ours:5.2f}x" for peer, ms in row["ms"].items() if peer != "seqgen")
    shape = "{}, {}, {}, {} {}".format(*row["shape"])
    return f"{row['cell']:4} {row['products']:8} {shape:24} {ours:8.1f} ms  {'  '.join(ratios)}"


def speed(cells: list[str], products: list[str], rounds: int) -> list[dict]:
    """A row for each cell, shape and dtype of the products, printed as it comes."""
    peers, rows = {peer: start(peer) for peer in PEERS}, []
    for cell in cells:
        shapes = [(s, None) for s in SHAPES if cell == "lstm" or s[4] != "words"]
        shapes += [(s, "bfloat16") for s in NARROW_SHAPES]
        chosen = [(s, product) for s, product in shapes if (product or "float32") in products]
        for (*shape, steps), product in chosen:
            rows.append(measure([cell, *shape, product], steps, rounds, peers))
            print(described(rows[-1]), flush=True)
    for process in peers.values():
        process.stdin.close()
    return rows


def long_sequence(rounds: int) -> dict:
    """Time and memory of a step at T = 10,000 beside Flax's."""
    peers = {peer: start(peer) for peer in ("seqgen", "flax")}
    *shape, steps = LONG
    row = measure(["lstm", *shape, None], steps, rounds, peers)
    ours, flax = (row["about"][peer]["memory_mb"] for peer in peers)
    print(f"{described(row)}; memory {ours:.0f} MB, Flax's {flax:.0f} MB: {flax / ours:.2f}x")
    for process in peers.values():
        process.stdin.close()
    return row


def second_process() -> dict:
    """Seconds from the first call of the jitted step to its result: cold, then from the cache."""
    *shape, _ = SHAPES[0]
    with tempfile.TemporaryDirectory() as folder:
        seconds = []
        for _ in range(2):
            process = start("seqgen", SEQGEN_BENCHMARK_CACHE=folder)
            seconds.append(ask(process, case=["lstm", *shape, None], about=True)["first_s"])
            process.communicate()
    cold, cached = seconds
    print(f"first call: cold {cold:.2f} s, in a second process with the cache {cached:.2f} s")
    return {"cold_s": cold, "cached_s": cached}


def dispatch() -> dict:
    command = [sys.executable, str(HERE / "dispatch.py")]
    found = json.loads(subprocess.check_output(command, text=True).splitlines()[-1])
    print(f"tiny model, steps per second: {found}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cells", default="lstm,gru,rnn")
    parser.add_argument("--products", default="float32,bfloat16")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results: dict[str, Any] = {"machine": environment.record()}
    results["speed"] = speed(given.cells.split(","), given.products.split(","), given.rounds)
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))
    for peer in PEERS[:3]:
        about = [row["about"][peer] for row in results["speed"] if peer in row["about"]]
        seconds = [known["compile_s"] for known in about]
        print(f"compile {peer}: median {statistics.median(seconds):.2f} s")
    results["long_sequence"] = long_sequence(given.rounds)
    results["second_process"] = second_process()
    results["dispatch"] = dispatch()
    if given.json:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
