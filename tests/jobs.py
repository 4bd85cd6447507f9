"""A job of a sweep without JAX: what its runs are told to become, they become.

Seeds below 10 train; 20 fails at once; 21 ends with a traceback, and 22 before it writes a status;
23 is killed; 24 fails twice, then trains; 25 trains until a signal stops it, and trains to the end
when it goes on; from 30 on they train until a signal stops them, 39 also after it. `started` in the
sweep's directory gets a line for each start: seed, cores, device.
"""

import os
import signal
import sys
import time
from pathlib import Path

from seqgen import run_directory

EXIT = {"DONE": 0, "FAILED": 1, "PREEMPTED": 75}


def begin(run: Path, seed: int) -> str:
    """What becomes of it."""
    if seed == 22:
        sys.exit("error: the data are missing")
    run_directory.set_status(run, "RUNNING", step=0)
    if seed == 21:
        raise ValueError("a mistake in the program")
    if seed == 23:
        os.kill(os.getpid(), signal.SIGKILL)
    attempt = run_directory.read_status(run)["attempt"]
    if seed == 20 or (seed == 24 and attempt < 3):
        run_directory.set_status(run, "FAILED", exit_code=1, message=f"not finite, {attempt}")
        return "FAILED"
    with run_directory.MetricsLog(run, 0) as log:
        log.write({"step": 1, "split": "train", "loss": 0.5, "steps_per_second": 1.0})
    if seed >= 30 or (seed == 25 and attempt == 1):
        asked = []
        signal.signal(signal.SIGTERM, lambda *_: asked.append(True))
        (run / "ready").touch()
        while not asked or seed == 39:
            time.sleep(0.01)
        run_directory.set_status(run, "PREEMPTED", step=1, exit_code=75, message="saved")
        return "PREEMPTED"
    run_directory.set_status(run, "DONE", step=3, exit_code=0, message="all steps done")
    return "DONE"


if __name__ == "__main__":
    (group,) = (a.partition("=")[2] for a in sys.argv if a.startswith("--group="))
    file, codes = Path(group), []
    for line in file.read_text().splitlines():
        run = file.parent / line
        seed = run_directory.read_json(run / "config.json")["seed"]
        cores = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        with open(file.parent.parent / "started", "a") as started:
            started.write(f"{seed} {cores} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}\n")
        codes.append(EXIT[begin(run, seed)])
    sys.exit(max(codes))
