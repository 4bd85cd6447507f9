"""What TensorBoard shows is what `metrics.jsonl` says, also after a resume."""

import sys

import pytest
import runs
import sweeps
from tensorboardX.proto import event_pb2

from seqgen import event_files, run_directory, train
from seqgen.errors import UsageError


def scalars(workdir):
    """(tag, step) -> value of every scalar in the event files; none is there twice."""
    found = {}
    for file in (workdir / "tensorboard").iterdir():
        content = file.read_bytes()
        while content:  # a record: its length, a checksum, the event, a checksum
            size = int.from_bytes(content[:8], "little")
            event = event_pb2.Event.FromString(content[12 : 12 + size])
            content = content[16 + size :]
            for value in event.summary.value:
                assert (value.tag, event.step) not in found
                found[value.tag, event.step] = value.simple_value
    return found


def test_event_files_say_what_the_log_says_also_after_a_resume(tmp_path):
    config = runs.small("procedural", tmp_path)
    config.tensorboard, config.num_steps = True, 16
    runs.run(config, tmp_path / "run")
    config.num_steps = 32
    runs.run(config, tmp_path / "run")
    shown = scalars(tmp_path / "run")
    records = run_directory.read_metrics(tmp_path / "run")
    for record in records:
        for name in record.keys() - {"step", "split"}:
            value = shown.pop((f"{name}/{record['split']}", record["step"]))
            assert value == pytest.approx(float(record[name]), nan_ok=True)
    assert not shown


def test_tensorboard_itself_reads_them(tmp_path):
    """By its own reader, which also checks every record's sums."""
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = tmp_path / "run"
    sweeps.run(run, sweeps.adding(), {1: 0.5, 2: 0.25, 30: float("nan")})
    with event_files.EventFiles(run) as files:
        files.write({"step": 40, "split": "valid", "loss": 0.125, "verdict": "alike"})
    accumulated = reader.EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    accumulated.Reload()
    valid = {event.step: event.value for event in accumulated.Scalars("loss/valid")}
    assert valid == pytest.approx({1: 0.5, 2: 0.25, 30: float("nan"), 40: 0.125}, nan_ok=True)
    assert len(accumulated.Scalars("learning_rate/train")) == 3
    assert len(accumulated.Tags()["scalars"]) == 5


def test_there_are_none_unless_they_are_asked_for(tmp_path):
    config = runs.small("procedural", tmp_path)
    config.num_steps = 4
    runs.run(config, tmp_path / "run")
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_missing_extra_is_named_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    config = runs.small("procedural", tmp_path)
    config.tensorboard = True
    with pytest.raises(UsageError, match=r"tensorboardX is not installed.*seqgen\[tensorboard\]"):
        train.train(config, tmp_path / "run", compilation_cache=False)
    assert not (tmp_path / "run").exists()
