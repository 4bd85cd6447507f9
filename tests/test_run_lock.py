"""One process holds a run, whatever becomes of it, and others can see whether it does."""

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from seqgen import run_lock
from seqgen.errors import UsageError

HOLDER = """
import sys, time
from seqgen import run_lock
with run_lock.hold(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


def hold_elsewhere(workdir):
    """A process that holds the run directory, once it does."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(workdir)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    )
    assert holder.stdout.readline() == b"held\n"
    return holder


def assert_refused(workdir, sentence):
    with pytest.raises(UsageError, match=sentence), run_lock.hold(workdir):
        pytest.fail("two hold one run")


def test_a_second_process_is_refused_and_told_whom_to_look_for(tmp_path):
    holder = hold_elsewhere(tmp_path)
    try:
        assert_refused(tmp_path, f"in use by process {holder.pid} on host {os.uname().nodename}")
    finally:
        holder.kill()
        holder.wait()
    with run_lock.hold(tmp_path):  # what was killed holds nothing
        assert_refused(tmp_path, f"process {os.getpid()} ")
    with run_lock.hold(tmp_path):
        pass


def test_an_error_under_the_lock_is_passed_on_and_releases_it(tmp_path):
    with pytest.raises(BlockingIOError, match="mine"), run_lock.hold(tmp_path / "new"):
        raise BlockingIOError("mine")
    with run_lock.hold(tmp_path / "new"):
        pass


@pytest.mark.parametrize("alive", [True, False])
def test_a_holder_on_another_machine_counts_while_its_heart_beats(tmp_path, monkeypatch, alive):
    monkeypatch.setattr(run_lock, "HEARTBEAT_SECONDS", 0.02)
    beats = iter(range(100))
    elsewhere = {"pid": 7, "host": "far"}

    def write_and_sleep(_, sleep=time.sleep):
        (tmp_path / ".lock").write_text(json.dumps({**elsewhere, "heartbeat": next(beats)}))
        sleep(0.001)

    write_and_sleep(0)  # a lock that the operating system does not see, as on some shared disks
    if alive:
        monkeypatch.setattr(run_lock.time, "sleep", write_and_sleep)
        assert_refused(tmp_path, "process 7 on host far")
    else:
        with run_lock.hold(tmp_path):
            first = (tmp_path / ".lock").read_bytes()
            assert json.loads(first)["pid"] == os.getpid()
            deadline = time.monotonic() + 5
            while (tmp_path / ".lock").read_bytes() == first:
                assert time.monotonic() < deadline, "no second beat"


@pytest.mark.parametrize("content", ["", "{}", "5", '{"host": "far"}', "half of"])
def test_a_record_that_names_no_holder_keeps_nobody_out(tmp_path, content):
    (tmp_path / ".lock").write_text(content)
    assert not run_lock.is_held(tmp_path)
    with run_lock.hold(tmp_path):
        (tmp_path / ".lock").write_text(content)
        assert_refused(tmp_path, f"process unknown on host {os.uname().nodename}")
        assert run_lock.is_held(tmp_path)


def test_a_workdir_that_cannot_be_made_is_a_usage_error(tmp_path):
    (tmp_path / "file").touch()
    assert_refused(tmp_path / "file" / "run", "cannot write in .*file")


def test_whoever_looks_sees_whether_a_process_holds_the_run(tmp_path):
    assert not run_lock.is_held(tmp_path)
    holder = hold_elsewhere(tmp_path)
    try:
        assert run_lock.is_held(tmp_path)
    finally:
        holder.kill()
        holder.wait()
    assert not run_lock.is_held(tmp_path)
    with run_lock.hold(tmp_path):
        assert run_lock.is_held(tmp_path)
    assert not run_lock.is_held(tmp_path)


def test_a_look_at_the_lock_does_not_keep_a_run_from_it(tmp_path, monkeypatch):
    with run_lock.hold(tmp_path):
        pass
    look = open(tmp_path / ".lock")  # noqa: SIM115  (closed, and so released, a moment later)
    fcntl.flock(look, fcntl.LOCK_SH)
    monkeypatch.setattr(run_lock.time, "sleep", lambda _: look.close())
    with run_lock.hold(tmp_path):
        pass


def test_a_file_system_without_locks_is_one_sentence(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(run_lock.fcntl, "flock", refuse)
    assert_refused(tmp_path, "cannot be locked: No locks available")
