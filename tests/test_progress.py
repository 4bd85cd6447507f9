"""What is shown does not depend on what can be logged."""

from pathlib import Path

import pytest

from seqgen.progress import Progress

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="takes a device that is always full")
def test_a_full_disk_costs_the_log_and_nothing_else(capsys):
    with Progress(FULL) as progress:
        progress.say("still here")
    assert "still here" in capsys.readouterr().out
