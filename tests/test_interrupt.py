"""The signals that ask a process to save and stop."""

import os
import pty
import signal
import subprocess
import sys
import textwrap

import pytest
import runs

from seqgen.interrupt import SIGNALS, Interrupt


@pytest.fixture
def hangup():
    """Sets what a closed terminal does, as it was afterwards."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda handler: signal.signal(signal.SIGHUP, handler)
    signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_asks_and_however_often_never_kills(hangup):
    hangup(lambda *_: None)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGHUP)
        assert interrupt.requested == "SIGHUP"
        signal.raise_signal(signal.SIGHUP)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        assert interrupt.requested == "SIGTERM"


def test_under_nohup_a_closed_terminal_is_nothing(hangup):
    hangup(signal.SIG_IGN)
    with Interrupt() as interrupt:
        signal.raise_signal(signal.SIGHUP)
        assert interrupt.requested is None
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def test_what_was_found_is_put_back(hangup):
    hangup(signal.SIG_DFL)
    before = [signal.getsignal(number) for number in SIGNALS]
    with Interrupt():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_process_whose_terminal_is_closed_saves(tmp_path):
    script = f"""
        import fcntl, pathlib, signal, termios, time
        from seqgen.interrupt import Interrupt
        from seqgen.progress import Progress
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        folder = pathlib.Path({str(tmp_path)!r})
        with Interrupt() as interrupt, Progress(folder / "log.txt") as progress:
            progress.say("begun")
            while not interrupt.requested:
                time.sleep(0.01)
            progress.show("step 1")
            progress.say("stopped")
        (folder / "saved").write_text(interrupt.requested)
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
        cwd=runs.ROOT,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    while b"begun" not in said:
        said += os.read(ours, 100)
    os.close(ours)
    process.wait(60)
    assert (tmp_path / "saved").read_text() == "SIGHUP"
    assert (tmp_path / "log.txt").read_text().endswith(" stopped\n")
