"""JSON files are whole or as before; metrics survive a crash and NaN."""

import errno
import json
import math
import os

import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import run_directory
from seqgen.errors import UsageError


def test_json_comes_back(tmp_path):
    value = {"sizes": (1, 2), "rate": jnp.float32(0.5), "table": np.eye(2), "name": "naïve"}
    run_directory.write_json(tmp_path / "a.json", value)
    expected = {"sizes": [1, 2], "rate": 0.5, "table": [[1, 0], [0, 1]], "name": "naïve"}
    assert run_directory.read_json(tmp_path / "a.json") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_file_that_cannot_be_written_whole_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    run_directory.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_directory.write_json(path, {"a": math.nan})
    with pytest.raises(TypeError, match="no place in JSON"):
        run_directory.write_json(path, {"a": object()})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("disk error")))
    with pytest.raises(OSError, match="disk error"):
        run_directory.write_json(path, {"a": 2})
    assert run_directory.read_json(path) == {"a": 1}
    assert [found.name for found in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize(
    ("content", "place"),
    [(b'{"a": 1,\n "b": }', "line 2 column 7"), (b'{"a": "\xff"}', "position 7"), (b"", "line 1")],
)
def test_malformed_json_is_named_with_its_place(tmp_path, content, place):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UsageError, match=f"config.json is not JSON: .*{place}"):
        run_directory.read_json(tmp_path / "config.json")
    with pytest.raises(UsageError, match="spec.json does not exist"):
        run_directory.read_json(tmp_path / "spec.json")


@pytest.mark.parametrize("content", ["{}", "5", "null", '["step"]'])
def test_an_object_that_lacks_a_key_is_damaged(tmp_path, content):
    (tmp_path / "status.json").write_text(content)
    with pytest.raises(UsageError, match="status.json is damaged: step is missing"):
        run_directory.read_json(tmp_path / "status.json", ("step", "attempt"))
    with pytest.raises(UsageError, match="status.json is damaged: step is missing"):
        run_directory.set_status(tmp_path, "RUNNING")
    with pytest.raises(UsageError, match="status.json is damaged: status is missing"):
        run_directory.read_status(tmp_path)


def test_digest_is_of_the_value_not_of_its_spelling(tmp_path):
    value = {"b": (1, 2.5), "a": "é"}
    assert run_directory.digest(value) == run_directory.digest({"a": "é", "b": [1, 2.5]})
    assert run_directory.digest(value) != run_directory.digest({"a": "é", "b": [1, 2.25]})
    (tmp_path / "file").write_bytes(run_directory.canonical_json(value))
    assert run_directory.file_digest(tmp_path / "file") == run_directory.digest(value)


def test_metrics_come_back_with_numbers_that_json_lacks(tmp_path):
    written = {"step": 1, "split": "train", "loss": math.nan, "low": -math.inf, "n": np.int32(3)}
    with run_directory.MetricsLog(tmp_path, 0) as log:
        log.write(written | {"high": jnp.float32(jnp.inf)})
    text = (tmp_path / "metrics.jsonl").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    (record,) = run_directory.read_metrics(tmp_path)
    assert math.isnan(record.pop("loss"))
    assert record == {"step": 1, "split": "train", "low": -math.inf, "n": 3, "high": math.inf}


def test_a_resumed_run_writes_later_records_once(tmp_path):
    def write(log, steps):
        for step in steps:
            log.write({"step": step, "split": "train", "loss": step / 3})

    once, twice = tmp_path / "once", tmp_path / "twice"
    once.mkdir()
    twice.mkdir()
    with run_directory.MetricsLog(once, 0) as log:
        write(log, range(1, 9))
    with run_directory.MetricsLog(twice, 0) as log:
        write(log, range(1, 7))
    with open(twice / "metrics.jsonl", "ab") as file:
        file.write(b'{"step": 7, "split": "tr')  # killed while it wrote
    assert [record["step"] for record in run_directory.read_metrics(twice)] == [1, 2, 3, 4, 5, 6]
    with run_directory.MetricsLog(twice, 4) as log:
        write(log, range(5, 9))
    assert (once / "metrics.jsonl").read_bytes() == (twice / "metrics.jsonl").read_bytes()


def test_an_evaluation_that_is_to_be_done_again_has_no_record_yet(tmp_path):
    with run_directory.MetricsLog(tmp_path, 0) as log:
        for step, split in ((4, "valid"), (8, "train"), (8, "valid")):
            log.write({"step": step, "split": split})
    with run_directory.MetricsLog(tmp_path, 8, evaluated=False):
        left = [(r["step"], r["split"]) for r in run_directory.read_metrics(tmp_path)]
    assert left == [(4, "valid"), (8, "train")]


def test_a_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    """A disk that takes half a line, and then nothing."""
    with run_directory.MetricsLog(tmp_path, 0) as log:
        log.write({"step": 1, "split": "train"})
        whole, half = log._file, []

        class Full:
            name, seek, truncate = whole.name, whole.seek, whole.truncate

            def write(self, content):
                if half:
                    raise OSError(errno.ENOSPC, "No space left on device")
                half.append(content)
                return whole.write(content[:10])

        monkeypatch.setattr(log, "_file", Full())
        with pytest.raises(OSError, match="No space left on device.*metrics.jsonl"):
            log.write({"step": 2, "split": "train"})
        monkeypatch.undo()
        log.write({"step": 3, "split": "train"})
    assert [record["step"] for record in run_directory.read_metrics(tmp_path)] == [1, 3]


def test_every_record_is_there_for_other_processes_at_once(tmp_path):
    with run_directory.MetricsLog(tmp_path, 0) as log:
        log.write({"step": 1, "split": "train"})
        assert len(run_directory.read_metrics(tmp_path)) == 1


def test_a_damaged_record_is_named_by_its_line(tmp_path):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "split": "train"}\n[]\n{}\n')
    with pytest.raises(UsageError, match="metrics.jsonl is damaged at line 2"):
        run_directory.read_metrics(tmp_path)
    with pytest.raises(UsageError, match="is .* a run directory"):
        run_directory.read_metrics(tmp_path / "elsewhere")


def test_status_counts_attempts_and_keeps_the_step(tmp_path):
    run_directory.set_status(tmp_path, "RUNNING")
    run_directory.set_status(tmp_path, "RUNNING", step=5)
    run_directory.set_status(tmp_path, "PREEMPTED", exit_code=75, message="SIGTERM")
    first = run_directory.read_status(tmp_path)
    assert (first["step"], first["attempt"], first["exit_code"]) == (5, 1, 75)
    run_directory.set_status(tmp_path, "RUNNING")
    second = run_directory.read_status(tmp_path)
    assert (second["step"], second["attempt"], second["message"]) == (5, 2, None)
    assert second["pid"] == os.getpid()
    assert first["started"] <= first["updated"] <= second["started"] <= second["updated"]
    with pytest.raises(ValueError, match="RUNNING, DONE"):
        run_directory.set_status(tmp_path, "FINISHED")
