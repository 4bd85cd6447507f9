"""Whatever kills, fills, damages or shares checkpoints: a sound step is found, or an error."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import runs
import states

from seqgen import stored_state
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError

ROOT = Path(__file__).parents[1]


def state_of(step, size=4):
    """What the step number alone decides, so that any other state under its name is noticed."""
    return {"step": np.int64(step), "w": np.full(size, step, np.float32)}


def save(workdir, *steps, best=()):
    with Checkpoints(workdir) as checkpoints:
        for step in steps:
            checkpoints.save(step, state_of(step), meta={"at": step}, best=step in best)


def restore(workdir, which="latest", *, writer=False, size=4):
    with Checkpoints(workdir, writer=writer) as checkpoints:
        found = checkpoints.restore(state_of(0, size), which)
    states.assert_same(found.state, state_of(found.step, size))
    assert found.meta == {"at": found.step}
    return found.step


def names(workdir):
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())


def damage(workdir, step, pattern="arrays/**/d/*"):
    """Flips a bit of a file that Orbax would load without a word."""
    file = max((workdir / "checkpoints" / str(step)).glob(pattern), key=os.path.getsize)
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def test_a_train_state_comes_back_with_what_belongs_to_it(tmp_path):
    state = states.make(3)
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.latest() is checkpoints.best() is None
        checkpoints.save(3, state, meta={"due": True})
        assert checkpoints.restore(states.target(state)).step == 3  # waits for the save
    with Checkpoints(tmp_path, writer=False) as checkpoints:
        step, restored, meta, digest = checkpoints.restore(state)
    states.assert_same(restored, state)
    assert (step, meta) == (3, {"due": True})
    assert digest == stored_state.manifest(tmp_path / "checkpoints/3")["digest"]


def test_the_latest_two_and_the_best_are_kept(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(0, 70, 10):
            checkpoints.save(step, state_of(step), meta={"at": step}, best=step in (0, 20))
            checkpoints.wait()
            best = 20 if step >= 20 else 0
            assert checkpoints.steps() == sorted({best, max(step - 10, 0), step})
            assert (checkpoints.latest(), checkpoints.best()) == (step, best)
    assert restore(tmp_path, "best") == 20
    assert restore(tmp_path, 50) == 50
    assert restore(tmp_path) == 60
    with pytest.raises(UsageError, match="no step 10 in .*have steps: 20, 50, 60"):
        restore(tmp_path, 10)


def test_multiples_of_keep_every_stay(tmp_path):
    with Checkpoints(tmp_path, keep_every=20) as checkpoints:
        for step in range(10, 70, 10):
            checkpoints.save(step, state_of(step), meta={"at": step}, best=step == 10)
        checkpoints.wait()
        assert checkpoints.steps() == [10, 20, 40, 50, 60]


def test_a_step_that_is_saved_again_is_replaced_and_stays_the_best(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(5, {"x": np.zeros(3)}, meta={}, best=True)
        checkpoints.save(5, {"x": np.ones(3)}, meta={"second": True})
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best() == 5
        _, state, meta, _ = checkpoints.restore({"x": np.zeros(3)})
        assert meta == {"second": True}
        assert state["x"].tolist() == [1, 1, 1]
        checkpoints.save(5, {"x": np.zeros(3)}, meta={})
    with Checkpoints(tmp_path) as checkpoints:
        assert checkpoints.best() == 5
    assert names(tmp_path) == ["5"]


def test_a_run_that_goes_back_leaves_its_old_future(tmp_path):
    save(tmp_path, 10, 20, 30, best=[10])
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.restore(state_of(0), 10)
        checkpoints.save(15, state_of(15), meta={"at": 15})
    assert names(tmp_path) == ["10", "15"]


def test_saving_does_not_wait_and_takes_the_values_of_its_call(tmp_path, monkeypatch):
    go_on, write = threading.Event(), stored_state.write

    def slow(*arguments):
        assert go_on.wait(10)
        write(*arguments)

    monkeypatch.setattr(stored_state, "write", slow)
    double = jax.jit(lambda x: x * 2, donate_argnums=0)
    x, host = jnp.arange(1000.0), np.arange(3)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, {"x": x, "host": host}, meta={})
        x = jax.block_until_ready(double(x))
        host[:] = 0
        assert checkpoints.latest() is None  # a step that is not whole does not count
        go_on.set()
        checkpoints.wait()
        state = checkpoints.restore({"x": x, "host": host}).state
    assert np.array_equal(state["x"], np.arange(1000.0))
    assert state["host"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("when", ["save", "wait", "close", "blocking"])
def test_an_error_in_the_background_surfaces(tmp_path, monkeypatch, when):
    def fail(*_):
        raise RuntimeError("no more")

    save(tmp_path, 1)
    monkeypatch.setattr(stored_state, "write", fail)
    sentence = "checkpoints/2 could not be written: no more; steps that stay: 1"
    with pytest.raises(Failure, match=sentence), Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(2, state_of(2), meta={}, blocking=when == "blocking")
        if when == "save":
            checkpoints.save(3, state_of(3), meta={})
        elif when == "wait":
            checkpoints.wait()
        if when != "close":
            pytest.fail("nothing was said")
    assert names(tmp_path) == ["1"]


def test_a_failed_save_does_not_hide_the_error_that_ended_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_state, "write", lambda *_: (_ for _ in ()).throw(OSError("torn")))
    with pytest.raises(KeyError) as raised, Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(1, state_of(1), meta={})
        raise KeyError("the run's own")
    assert "the last save failed" in raised.value.__notes__[0]
    assert "torn" in raised.value.__notes__[0]


def test_bad_arguments_are_errors_of_the_call(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        with pytest.raises(ValueError, match="not JSON compliant"):
            checkpoints.save(1, state_of(1), meta={"best": float("inf")})
        with pytest.raises(TypeError, match="text is a str"):
            checkpoints.save(1, {"text": "abc"}, meta={})
        assert checkpoints.latest() is None
    with pytest.raises(RuntimeError, match="only a writer saves"):
        checkpoints.save(1, state_of(1), meta={})


@pytest.mark.parametrize("pattern", ["arrays/**/d/*", "manifest.json"])
def test_a_damaged_latest_step_is_set_aside_loudly(tmp_path, caplog, pattern):
    save(tmp_path, 10, 20)
    damage(tmp_path, 20, pattern)
    assert restore(tmp_path) == 10
    assert names(tmp_path) == ["10", "20"]  # a reader changes nothing
    assert restore(tmp_path, writer=True) == 10
    assert names(tmp_path) == ["10", "20.corrupt"]
    assert caplog.text.count("checkpoints/20 is damaged") == 2
    save(tmp_path, 20)
    assert restore(tmp_path) == 20


def test_a_damaged_best_or_numbered_step_is_an_error_not_another_step(tmp_path):
    save(tmp_path, 10, 20, 30, 40, best=[10, 20])
    damage(tmp_path, 20)
    with pytest.raises(UsageError, match="20 is damaged .*choose another.* 20, 30, 40"):
        restore(tmp_path, "best")
    with pytest.raises(UsageError, match="20 is damaged"):
        restore(tmp_path, 20)
    damage(tmp_path, 30, "manifest.json")  # it may have been better than 20
    with pytest.raises(UsageError, match="30 is damaged and may have been the best"):
        restore(tmp_path, "best")
    assert restore(tmp_path) == 40


def test_a_best_step_that_was_set_aside_is_not_replaced_by_an_older_one(tmp_path):
    save(tmp_path, 10, 20, best=[10, 20])
    damage(tmp_path, 20)
    assert restore(tmp_path, writer=True) == 10
    with pytest.raises(UsageError, match="20.corrupt is damaged and may have been the best"):
        restore(tmp_path, "best")
    save(tmp_path, 30, best=[30])
    assert restore(tmp_path, "best") == 30


def test_nothing_sound_is_no_beginning(tmp_path):
    with pytest.raises(UsageError, match="no checkpoint in .* yet"):
        restore(tmp_path)
    with pytest.raises(UsageError, match="no best step .*have steps: none"):
        restore(tmp_path, "best")
    save(tmp_path, 10, 20)
    damage(tmp_path, 10)
    damage(tmp_path, 20)
    for writer in (False, True, True):
        with pytest.raises(UsageError, match="no checkpoint in .* is sound.*start from scratch"):
            restore(tmp_path, writer=writer)
    assert names(tmp_path) == ["10.corrupt", "20.corrupt"]
    with (
        Checkpoints(tmp_path) as checkpoints,
        pytest.raises(UsageError, match="start from scratch"),
    ):
        checkpoints.latest()


def test_what_only_looks_like_a_step_is_passed_over(tmp_path):
    save(tmp_path, 10)
    directory = tmp_path / "checkpoints"
    (directory / "90").mkdir()
    subprocess.run(["cp", "-r", directory / "10", directory / "80"], check=True)
    subprocess.run(["cp", "-r", directory / "10", directory / "70"], check=True)
    (directory / "70/manifest.json").unlink()
    (directory / "notes").touch()
    assert restore(tmp_path) == restore(tmp_path, writer=True) == 10
    assert names(tmp_path) == ["10", "70.corrupt", "80.corrupt", "90.corrupt", "notes"]


def test_a_writer_clears_up_after_a_killed_one(tmp_path):
    save(tmp_path, 10, 20)
    directory = tmp_path / "checkpoints"
    (directory / "30.saving/arrays").mkdir(parents=True)
    (directory / "5.deleting").mkdir()
    (directory / "20").rename(directory / "20.replaced")  # killed between two renamings
    with Checkpoints(tmp_path, writer=False):
        assert names(tmp_path) == ["10", "20.replaced", "30.saving", "5.deleting"]
    with Checkpoints(tmp_path):
        assert names(tmp_path) == ["10", "20"]
    assert restore(tmp_path) == 20


PROGRAM = """
import sys
import numpy as np
from seqgen.checkpoint import Checkpoints
with Checkpoints(sys.argv[1]) as checkpoints:
    for step in range(int(sys.argv[2]), int(sys.argv[3])):
        state = {"step": np.int64(step), "w": np.full(int(sys.argv[4]), step, np.float32)}
        checkpoints.save(step, state, meta={"at": step}, best=step % 7 == 0)
        print(step, flush=True)  # the save before this one is on the disk
"""


def run(workdir, first, last, size):
    command = [sys.executable, "-c", PROGRAM, str(workdir), str(first), str(last), str(size)]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_after_a_kill_at_any_moment_the_latest_step_is_whole(tmp_path):
    random, reached = np.random.default_rng(), -1
    for _ in range(4):
        process = run(tmp_path, reached + 1, 10**6, 1000)
        for _ in range(random.integers(2, 9)):
            said = int(process.stdout.readline())
        time.sleep(random.uniform(0, 0.06))  # about the time that one save takes
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        assert process.returncode == -signal.SIGKILL, err
        said = max([said, *map(int, out.split())])
        assert restore(tmp_path, size=1000) in range(said - 1, said + 2)
        reached = restore(tmp_path, writer=True, size=1000)
        assert restore(tmp_path, "best", size=1000) == reached // 7 * 7


def test_a_reader_is_never_misled_while_a_writer_saves_and_deletes(tmp_path):
    process = run(tmp_path, 0, 10**6, 1000)
    try:
        process.stdout.readline()
        process.stdout.readline()
        seen = {which: set() for which in ("latest", "best")}
        deadline = time.monotonic() + 5
        while time.monotonic() < deadline:
            for which, steps in seen.items():
                steps.add(restore(tmp_path, which, size=1000))
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()
    assert len(seen["latest"]) > 5
    assert len(seen["best"]) > 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_reader_chooses_again_when_its_step_is_deleted_or_replaced(
    tmp_path, monkeypatch, caplog, moment
):
    load, meanwhile = stored_state.load, []

    def load_while_a_writer_goes_on(path, target):
        monkeypatch.setattr(stored_state, "load", load)
        if moment == "before":
            save(tmp_path, 20, 30, 40, best=[40])
            meanwhile.append(names(tmp_path))
            return load(path, target)
        found = load(path, target)
        with Checkpoints(tmp_path) as checkpoints:  # the same step with other numbers in it
            checkpoints.save(10, state_of(11), meta={"second": True}, best=True)
        return found

    save(tmp_path, 10, best=[10])
    monkeypatch.setattr(stored_state, "load", load_while_a_writer_goes_on)
    with Checkpoints(tmp_path, writer=False) as checkpoints:
        found = checkpoints.restore(state_of(0), "best")
    if moment == "before":
        assert meanwhile == [["30", "40"]]
        states.assert_same(found.state, state_of(40))
    else:
        assert found.meta == {"second": True}
        states.assert_same(found.state, state_of(11))
    assert "damaged" not in caplog.text


def test_a_step_that_is_half_deleted_is_not_there(tmp_path, monkeypatch):
    def killed(path):
        for file in list(path.rglob("*.json")):
            file.unlink()
        raise OSError("killed")

    save(tmp_path, 10, 20)
    with pytest.raises(Failure, match="killed"), monkeypatch.context() as patch:
        patch.setattr("seqgen.saved_steps.shutil.rmtree", killed)
        save(tmp_path, 30)
    assert names(tmp_path) == ["10.deleting", "20", "30"]
    with pytest.raises(UsageError, match="no step 10"):
        restore(tmp_path, 10)
    save(tmp_path, 40)
    assert names(tmp_path) == ["30", "40"]


MEGABYTE = 2**18  # of float32


def free(disk):
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


@pytest.mark.parametrize("foreseen", [True, False])
def test_a_full_disk_leaves_the_earlier_steps_and_says_so(small_disk, monkeypatch, foreseen):
    disk = small_disk(5 * 2**20)
    if not foreseen:  # as when another process fills it meanwhile
        usage = type("Usage", (), {"free": 2**40})
        monkeypatch.setattr("seqgen.checkpoint.shutil.disk_usage", lambda _: usage)
    with Checkpoints(disk) as checkpoints:
        for step in (1, 2):
            state = state_of(step, MEGABYTE)
            checkpoints.save(step, state, meta={"at": step}, best=step == 1, blocking=True)
        with pytest.raises(Failure, match="checkpoints/3 could not be written: .*stay: 1, 2"):
            checkpoints.save(3, state_of(3, 4 * MEGABYTE), meta={}, blocking=True)
        assert names(disk) == ["1", "2"]  # 1 is the best: nothing could go
        checkpoints.save(4, state_of(4, MEGABYTE), meta={"at": 4}, blocking=True)
    assert restore(disk, size=MEGABYTE) == 4
    assert restore(disk, "best", size=MEGABYTE) == 1


@pytest.mark.parametrize("foreseen", [True, False])
def test_a_full_disk_is_freed_of_what_is_not_needed(small_disk, monkeypatch, foreseen):
    disk = small_disk(8 * 2**20)
    if not foreseen:
        usage = type("Usage", (), {"free": 2**40})
        monkeypatch.setattr("seqgen.checkpoint.shutil.disk_usage", lambda _: usage)
    with Checkpoints(disk) as checkpoints:
        for step in (1, 2):
            checkpoints.save(step, state_of(step, MEGABYTE), meta={"at": step}, blocking=True)
        damage(disk, 2)  # the last sound one is 1: it must not go
        room = 3 * 2**19 if foreseen else 2**19  # each too little, and enough with a step less
        (disk / "other").write_bytes(bytes(free(disk) - room))
        checkpoints.save(3, state_of(3, MEGABYTE), meta={"at": 3}, blocking=True)
    assert restore(disk, size=MEGABYTE) == 3
    assert restore(disk, 1, size=MEGABYTE) == 1
    assert names(disk) == ["1", "3"]


def test_a_full_disk_at_the_end_of_a_process_is_a_failure_at_once(small_disk):
    disk = small_disk(3 * 2**20)
    process = run(disk, 0, 1, 4 * MEGABYTE)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the disk is full" in err


def test_a_disk_that_turns_read_only(small_disk):
    disk = small_disk(50 * 2**20)
    process = run(disk, 0, 10**6, 1000)
    process.stdout.readline()
    process.stdout.readline()
    runs.remount_read_only(disk)
    _, err = process.communicate(timeout=30)  # no waiting for threads that wait for the disk
    assert process.returncode == 1
    assert "Read-only file system" in err
    with (
        pytest.raises(UsageError, match="cannot write in .*Read-only file system"),
        Checkpoints(disk),
    ):
        pytest.fail("opened to write")
    assert restore(disk, size=1000) >= 0
