"""Peers as long-lived processes that are asked in turn; the benchmarks of this folder share it.

A peer is started as `python SCRIPT PEER` and answers one JSON request a line.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from seqgen.errors import UsageError, require


def start(script: Path, peer: str, **environ: str) -> subprocess.Popen:
    """A peer's process. Ends this one with a sentence if the peer's package is not installed."""
    if peer in ("torch", "keras"):  # the peer's own complaint would go unread
        os.environ.setdefault("KERAS_BACKEND", "jax")  # or keras asks for TensorFlow
        try:
            require(peer, "bench")
        except UsageError as error:
            sys.exit(f"error: {error}")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    command = [sys.executable, str(script), peer]
    return subprocess.Popen(command, text=True, env=os.environ | environ, **pipes)


def ask(process: subprocess.Popen, **request: Any) -> Any:
    """One request, answered by the peer's next line that is an answer."""
    process.stdin.write(json.dumps(request) + "\n")
    process.stdin.flush()
    for line in process.stdout:
        if line.startswith("answer "):
            return json.loads(line.removeprefix("answer "))
    raise RuntimeError(f"a peer ended with code {process.wait()}")


def medians(
    peers: dict[str, subprocess.Popen], rounds: int, case: Any, steps: int
) -> dict[str, float]:
    """Median milliseconds a step of each peer that can do the case, asked in turn."""
    # compiled and warm before the clock starts
    able = {n: p for n, p in peers.items() if ask(p, case=case, steps=1) is not None}
    times = {peer: [] for peer in able}
    for _ in range(rounds):
        for peer, process in able.items():
            times[peer].append(ask(process, case=case, steps=steps))
    return {peer: statistics.median(values) for peer, values in times.items()}


def serve(build: Callable[[Any], Callable[[int], None] | None]) -> None:
    """The peer's side: answers {"case", "steps"} with the milliseconds of a step.

    `build` makes of a case what runs so many steps, None where the peer has no such thing.
    """
    case, run = None, None
    for line in sys.stdin:
        request = json.loads(line)
        if request["case"] != case:
            case, run = request["case"], None  # one case at a time in memory
            run = build(case)
            if run is not None:
                run(1)
        answer = None
        if run is not None:
            began = time.perf_counter()
            run(request["steps"])
            answer = 1e3 * (time.perf_counter() - began) / request["steps"]
        print("answer", json.dumps(answer), flush=True)
