"""What is shown does not depend on what can be logged."""

from pathlib import Path

import pytest

from seqgen.progress import Progress

FULL = Path("/dev/full")


def test_what_is_printed_elsewhere_is_only_logged(tmp_path, capsys):
    with Progress(tmp_path / "log.txt") as progress:
        progress.log("stopped")
    assert (tmp_path / "log.txt").read_text().endswith(" stopped\n")
    assert capsys.readouterr().out == ""


@pytest.mark.skipif(not FULL.exists(), reason="takes a device that is always full")
def test_a_full_disk_costs_the_log_and_nothing_else(capsys):
    with Progress(FULL) as progress:
        progress.say("still here")
    assert "still here" in capsys.readouterr().out
