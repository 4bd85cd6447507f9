"""Recurrent training steps against named peers, process by process in turn, as ratios of medians.

python benchmarks/recurrence.py [--rounds=7] [--json=FILE]   (extra `bench`; both cores each)
Each peer is one long-lived process of `peers.py`; a round asks every one for a block of steps.
"""

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

PEERS = ("seqgen", "flax", "keras", "torch")
# B, T, E, D, loss, steps in a block
SHAPES = (
    (32, 128, 128, 128, "all", 20),
    (32, 1000, 2, 100, "last", 4),
    (128, 784, 1, 128, "last", 2),
    (64, 256, 256, 512, "all", 1),
    (32, 64, 650, 650, "words", 1),
)


def start(peer: str) -> subprocess.Popen:
    file = Path(__file__).with_name("peers.py")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([sys.executable, str(file), peer], text=True, **pipes)


def ask(process: subprocess.Popen, **request: object) -> object:
    """One request, answered by the peer's next line that is an answer."""
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("answer "):
            return json.loads(line.removeprefix("answer "))
    raise RuntimeError(f"a peer ended with {process.wait()}; run it by hand to see why")


def measure(cell: str, shape: tuple, rounds: int, peers: dict[str, subprocess.Popen]) -> dict:
    """Median milliseconds a step of every peer."""
    *case, steps = shape
    case = [cell, *case, None]
    for process in peers.values():
        ask(process, case=case, steps=1)  # compiled and warm before the clock starts
    times = {peer: [] for peer in peers}
    for _ in range(rounds):
        for peer, process in peers.items():
            times[peer].append(ask(process, case=case, steps=steps))
    medians = {peer: statistics.median(values) for peer, values in times.items()}
    memory = {p: ask(peers[p], case=case, about=True).get("memory_mb") for p in ("seqgen", "flax")}
    return {"cell": cell, "case": case[1:6], "ms": medians, "memory_mb": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--cells", default="lstm,gru,rnn")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    peers = {peer: start(peer) for peer in PEERS}
    rows = []
    for cell in given.cells.split(","):
        for shape in SHAPES if cell == "lstm" else SHAPES[:4]:
            rows.append(measure(cell, shape, given.rounds, peers))
            ms = rows[-1]["ms"]
            ratios = "  ".join(f"{p} {ms[p] / ms['seqgen']:.2f}x" for p in PEERS[1:])
            print(f"{cell:4} {rows[-1]['case']}: {ms['seqgen']:.1f} ms; {ratios}", flush=True)
            if given.json:
                given.json.write_text(json.dumps(rows, indent=1))
    for process in peers.values():
        process.stdin.close()


if __name__ == "__main__":
    main()
