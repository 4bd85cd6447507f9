"""Small runs for the tests of training, resuming, evaluating and generating."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
from ml_collections import config_dict

from seqgen import config as configs
from seqgen import samples, train
from seqgen.checkpoint import Checkpoints
from seqgen.interrupt import Interrupt
from seqgen.progress import Progress

ROOT = Path(__file__).parent.parent
KINDS = ("procedural", "epochs", "streams", "average_and_plateau")
TEXT = "the quick brown fox jumps over the lazy dog; pack my box with five dozen jugs.\n" * 60


def small(kind: str, folder: Path) -> config_dict.ConfigDict:
    """A run of seconds for each kind of state that there is."""
    dataset = {"procedural": "adding", "epochs": "digits"}.get(kind, "text")
    model = "many_to_many" if dataset == "text" else "many_to_one"
    c = configs.default(dataset=dataset, model=model, objective="likelihood")
    c.dataset.batch_size = 8
    c.model.hidden_size = 8
    c.num_steps, c.log_every, c.eval_every, c.checkpoint_every = 48, 4, 16, 8
    c.optimizer.rule, c.optimizer.learning_rate = "adam", 0.01
    if dataset == "adding":
        c.dataset.length, c.dataset.test_size = 10, 20
    if dataset == "digits":  # an epoch ends within the run
        c.dataset.batch_size, c.num_steps, c.eval_every = 64, 64, 32
    if dataset == "text":
        c.dataset.path = str(folder / "text.txt")
        (folder / "text.txt").write_text(TEXT)
        c.dataset.length, c.dataset.eval_streams = 16, 4
    if kind == "average_and_plateau":
        c.ema = 0.9
        c.optimizer.plateau_patience, c.optimizer.plateau_scale = 1, 0.5
        c.optimizer.learning_rate = 30.0  # so high that validation stops improving
        c.model.num_layers, c.model.dropout, c.model.zoneout = 2, 0.2, 0.1
        c.eval_every = 4
    return c


def run(config: config_dict.ConfigDict, workdir: Path, change=lambda session, interrupt: session):
    """Trains in this process. `change` may put other functions into the session."""
    workdir.mkdir(exist_ok=True)
    with Progress(workdir / "log.txt") as progress, Interrupt() as interrupt:
        session = change(train.prepare(config, workdir, progress), interrupt)
        return train.loop(session, interrupt, progress)


def experiment(kind: str, folder: Path, times: int = 1) -> str:
    """The flag that names the small config as a user's experiment file, so many times as long."""
    file = folder / "small.py"
    file.write_text(
        f"import sys\nsys.path.insert(0, {str(ROOT / 'tests')!r})\n"
        f"import pathlib, runs\n\n\ndef get_config(arg=None):\n"
        f"    c = runs.small({kind!r}, pathlib.Path({str(folder)!r}))\n"
        f"    c.num_steps *= {times}\n    return c\n"
    )
    return f"--config={file}"


def launch(workdir: Path, *arguments: str) -> subprocess.Popen:
    """`launch.py train` as a process of its own, its compiled programs kept with the tests'."""
    command = [sys.executable, "launch.py", "train", f"--workdir={workdir}", *arguments]
    environ = os.environ | {"XDG_CACHE_HOME": jax.config.jax_compilation_cache_dir}
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environ
    )


def remount_read_only(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)


def saved_steps(workdir: Path) -> list[int]:
    with Checkpoints(workdir, writer=False) as checkpoints:
        return checkpoints.steps()


def final_state(config: config_dict.ConfigDict, workdir: Path) -> dict[str, np.ndarray]:
    """Name -> bytes of every leaf of the latest checkpoint."""
    with Progress(workdir / "log.txt") as progress:
        target = train.prepare(config, workdir, progress).target
    with Checkpoints(workdir, writer=False) as checkpoints:
        state = checkpoints.restore(target).state
    raw = state.replace(key=jax.random.key_data(state.key))
    flat, _ = jax.tree_util.tree_flatten_with_path(raw)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in flat}


def assert_same_bytes(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    different = [name for name in a if a[name].tobytes() != b[name].tobytes()]
    assert not different


def texts(*arguments) -> list[str]:
    """What `samples.make` makes, as texts."""
    return [made.content.decode() for made in samples.make(*arguments)]
