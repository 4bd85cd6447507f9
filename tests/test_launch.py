"""What a user types wrong is answered in one sentence, with exit code 2 and nothing lost."""

import pytest
import runs

import launch
from seqgen import run_directory


def launched(capsys, *arguments):
    code = launch.main(["launch.py", *arguments])
    return code, *capsys.readouterr()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["trian"], "unknown verb 'trian'; did you mean 'train'?"),
        (["train"], "name one experiment"),
        (["train", "--config=experiments/char_ml.py"], "did you mean 'experiments/char_lm.py'?"),
        (["train", "--config=experiments/adding.py:lstn"], "did you mean 'lstm'?"),
        (
            ["train", "--config=experiments/adding.py", "--config.model.hiden_size=3"],
            "did you mean 'model.hidden_size'?",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.model.cell=lstn"],
            "did you mean 'lstm'?",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.num_steps=many"],
            "config.num_steps=many",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.dataset.name=text"],
            "variants",
        ),
        (
            ["train", "--config=experiments/adding.py", "--config.monitor=los"],
            "unknown monitor 'los'; did you mean 'loss'?",
        ),
        (["train", "--confg=experiments/adding.py"], "name one experiment"),
        (["evaluate"], "evaluate needs --workdir"),
        (["evaluate", "--workdir=nowhere"], "nowhere holds no run"),
        (["evaluate", "--wrkdir=x"], "Did you mean: workdir"),
        (["evaluate", "here"], "takes flags only"),
        (["generate", "--workdir=nowhere"], "nowhere holds no run"),
        (["report", "--workdir=nowhere"], "nowhere holds no run"),
        (["verify", "--file=nowhere.txt"], "nowhere.txt does not exist"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(launch.train.backend, "start", lambda *_, **__: None)
    if arguments[0] == "train":
        arguments = [*arguments, f"--workdir={tmp_path / 'run'}"]
    code, out, err = launched(capsys, *arguments)
    assert code == 2
    assert sentence in err
    assert "Traceback" not in out + err
    assert len(err.strip().splitlines()) == 1


def test_help_lists_the_verbs_and_their_flags(capsys):
    code, out, _ = launched(capsys)
    assert code == 0
    assert all(verb in out for verb in launch.VERBS)
    code, out, _ = launched(capsys, "generate", "--help")
    assert code == 0
    assert "--temperature" in out


def test_list_names_experiments_and_parts(capsys):
    code, out, _ = launched(capsys, "list")
    assert code == 0
    for name in ("char_lm", "many_to_one", "likelihood", "min_gru", "adding"):
        assert name in out


def test_flags_of_another_verb_are_refused(capsys):
    code, _, err = launched(capsys, "report", "--workdir=x", "--split=test")
    assert code == 2
    assert "split" in err


def test_a_failed_start_leaves_an_earlier_run_as_it_was(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(launch.train.backend, "start", lambda *_, **__: None)
    config = runs.small("procedural", tmp_path)
    runs.run(config, tmp_path / "run")
    before = {f: f.read_bytes() for f in (tmp_path / "run").glob("*.json*")}
    code, _, err = launched(
        capsys, "train", "--config=experiments/adding.py", f"--workdir={tmp_path / 'run'}"
    )
    assert code == 2
    assert "another config" in err
    kept = {f: f.read_bytes() for f in before if f.name != "status.json"}
    assert kept == {f: content for f, content in before.items() if f.name != "status.json"}
    assert run_directory.read_status(tmp_path / "run")["status"] == "FAILED"
