"""What the steps measured, as it is logged and judged."""

import numpy as np
import pytest

from seqgen.config import RunOptions
from seqgen.errors import Failure
from seqgen.meter import Meter
from seqgen.progress import Progress
from seqgen.run_directory import MetricsLog


@pytest.mark.parametrize("at", [0, 1, 2])
def test_too_many_non_finite_steps_are_seen_wherever_in_a_call_they_are(at, tmp_path):
    counts = np.roll([3, 0, 0], at)
    with Progress(tmp_path / "log.txt") as progress, MetricsLog(tmp_path, 0) as log:
        meter = Meter(RunOptions(max_nonfinite=3), None, {}, [log], progress)
        meter.add(3, {"nonfinite": counts})
        with pytest.raises(Failure, match="not finite in 3 steps in a row, by step 3"):
            meter.flush()
