"""A run that several processes train is the run that one trains, whoever of them is stopped."""

import os
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
import runs
import slurm_node

import launch
from seqgen import plan, processes, run_directory
from seqgen.errors import UsageError
from seqgen.interrupt import Interrupted

KIND = "streams"  # each process has rows of the memory to itself


def started(workdir, count, *arguments):
    """Two devices, of one process or of two."""
    environ = os.environ | {
        "XDG_CACHE_HOME": jax.config.jax_compilation_cache_dir,
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={2 // count}",
    }
    command = [sys.executable, "launch.py", "train", f"--workdir={workdir}", *arguments]
    if count > 1:
        where = f"--coordinator=127.0.0.1:{slurm_node.free_port()}"
        command += [where, f"--processes={count}"]
    return [
        subprocess.Popen(
            [*command, *([f"--process={index}"] if count > 1 else [])],
            cwd=runs.ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]


def ended(started):
    """(exit code, what it said on stderr, what on stdout) of each."""
    texts = [process.communicate(timeout=300) for process in started]
    return [(p.returncode, err, out) for p, (out, err) in zip(started, texts, strict=True)]


def codes(started):
    found = ended(started)
    return [code for code, _, _ in found], found


def step_of(workdir):
    try:
        return run_directory.read_status(workdir)["step"]
    except UsageError:
        return 0


def wait_for(workdir, step):
    deadline = time.monotonic() + 200
    while step_of(workdir) < step:
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_go_on_as_one(tmp_path):
    flag, two, one = runs.experiment(KIND, tmp_path, times=100), tmp_path / "two", tmp_path / "one"
    begun = started(two, 2, flag)
    wait_for(two, 16)
    begun[1].send_signal(signal.SIGTERM)  # the one that writes nothing
    stopped, found = codes(begun)
    assert stopped == [Interrupted.exit_code] * 2, found
    between = step_of(two)
    half, end = (f"--config.num_steps={(between // 48 + n) * 48}" for n in (1, 2))
    for count, length in ((1, half), (2, end)):
        resumed, found = codes(started(two, count, flag, length))
        assert resumed == [0] * count, found
        assert f"resumed {two} at step" in found[0][2]
        assert "report: " in found[0][2]
        said = [line for _, _, out in found[1:] for line in out.splitlines()]
        assert all(line.startswith("[Gloo]") for line in said)  # the library's own
    whole, found = codes(started(one, 1, flag, end))
    assert whole == [0], found

    config = runs.small(KIND, tmp_path)
    config.num_steps = int(end.partition("=")[2])
    state, expected = (runs.final_state(config, workdir) for workdir in (two, one))
    for name, array in expected.items():
        np.testing.assert_allclose(state[name], array, rtol=1e-3, atol=1e-4, err_msg=name)
    logged = [run_directory.read_metrics(workdir) for workdir in (two, one)]
    for a, b in zip(*logged, strict=True):
        assert (a["step"], a["split"]) == (b["step"], b["split"])
        assert a["loss"] == pytest.approx(b["loss"], rel=1e-4)
    assert not list(two.glob("checkpoints/*.saving"))


@pytest.mark.slow
def test_what_one_of_the_processes_refuses_stops_all(tmp_path):
    flag = runs.experiment(KIND, tmp_path)
    assert codes(started(tmp_path / "run", 1, flag, "--config.num_steps=8"))[0] == [0]
    refused, found = codes(started(tmp_path / "run", 2, flag, "--config.seed=1"))
    assert refused == [2, 2]
    assert "another config (seed: 0 -> 1)" in found[0][1]
    assert "another process of the run has stopped" in found[1][1]
    assert step_of(tmp_path / "run") == 8


@pytest.mark.parametrize(
    "flags",
    [
        ["--processes=2"],
        ["--coordinator=localhost:9", "--processes=2"],
        ["--coordinator=localhost:9", "--processes=2", "--process=2"],
        ["--distributed", "--coordinator=localhost:9", "--processes=2", "--process=1"],
        ["--distributed", "--config.seeds=2"],
    ],
)
def test_a_place_among_processes_is_told_whole(flags, capsys):
    arguments = ["launch.py", "train", "--config=experiments/adding.py", *flags]
    assert launch.main(arguments) == 2
    assert "process" in capsys.readouterr().err


def test_a_process_that_is_alone_agrees_with_itself():
    assert processes.leads() and processes.greatest(-3) == -3
    assert processes.together(divmod, 7, 2) == (3, 1)
    with pytest.raises(UsageError, match="mine"):
        processes.together(lambda: (_ for _ in ()).throw(UsageError("mine")))


def test_the_devices_of_several_processes_share_every_run():
    facts = {
        "platform": "cpu",
        "available": 4,
        "rows": 8,
        "operations": 1.0,
        "recurrent_bytes": 0,
        "recurrent_share": 0.0,
        "intervals": (10,),
    }
    assert plan.run_plan(**facts).devices == 1
    assert plan.run_plan(**facts, processes=2).devices == 4
