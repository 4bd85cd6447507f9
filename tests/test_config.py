import json
import textwrap

import pytest
from absl import flags

from seqgen import config, run_directory
from seqgen.errors import UsageError


@pytest.fixture
def adding():
    return config.default(dataset="adding", model="many_to_one", objective="likelihood")


@pytest.fixture
def experiment(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        textwrap.dedent("""
        from seqgen import config

        def get_config(arg=None):
            variant = config.variant_of(arg, ("small", "large"))
            c = config.default(dataset="adding", model="many_to_one", objective="likelihood")
            c.model.hidden_size = 8 if variant == "small" else 16
            return c
        """)
    )
    return str(file)


def parsed(*arguments):
    values = flags.FlagValues()
    rest, _ = config.from_command_line(["launch.py", *arguments], values)
    values(rest)
    return values.config


def test_options_and_config_agree_on_every_default(adding):
    for section in (None, "optimizer", *config.PARTS):
        built = config.options(adding, section)
        assert built == type(built)(), section


def test_json_round_trip_keeps_types_and_digest(adding):
    adding.optimizer.clip_norm = 1.0
    adding.num_steps = 7
    text = json.dumps(config.to_json(adding))
    again = config.from_json(json.loads(text))
    assert config.differences(adding, again) == {}
    assert again.is_locked
    assert run_directory.digest(config.to_json(again)) == run_directory.digest(json.loads(text))


def test_differences_name_the_field_and_both_values(adding):
    other = config.default(dataset="adding", model="many_to_one", objective="likelihood")
    other.model.cell = "gru"
    other.seed = 3
    assert config.differences(adding, other) == {"seed": (0, 3), "model.cell": ("lstm", "gru")}


def test_command_line_overrides_are_typed(experiment):
    c = parsed(
        f"--config={experiment}:large",
        "--config.model.cell=gru",
        "--config.optimizer.learning_rate=1",
        "--config.optimizer.clip_norm=0.5",
        "--config.model.residual",
    )
    assert (c.model.hidden_size, c.model.cell, c.model.residual) == (16, "gru", True)
    assert (c.optimizer.learning_rate, c.optimizer.clip_norm) == (1.0, 0.5)


def test_none_switches_an_option_off_and_only_an_option(experiment):
    c = parsed(f"--config={experiment}", "--config.optimizer.clip_norm=None")
    assert c.optimizer.clip_norm is None
    with pytest.raises(UsageError, match="num_steps can't be None"):
        parsed(f"--config={experiment}", "--config.num_steps=None")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("--config.model.hiden_size=3", "did you mean 'model.hidden_size'"),
        ("--config.modl.cell=rnn", "did you mean 'model.cell'"),
        ("--config.model.name=many_to_many", "one of its variants"),
    ],
)
def test_a_wrong_field_is_one_sentence(experiment, override, sentence):
    with pytest.raises(UsageError, match=sentence):
        parsed(f"--config={experiment}", override)


def test_a_wrong_value_names_the_flag(experiment):
    with pytest.raises(flags.Error, match="model.hidden_size"):
        parsed(f"--config={experiment}", "--config.model.hidden_size=many")


def test_unknown_experiments_variants_and_parts(experiment):
    with pytest.raises(UsageError, match="did you mean '.*mine.py'"):
        config.load(experiment.replace("mine.py", "mime.py"))
    with pytest.raises(UsageError, match="have: large, small"):
        config.load(experiment + ":medium")
    with pytest.raises(UsageError, match="did you mean 'adding'"):
        config.default(dataset="ading", model="many_to_one", objective="likelihood")


def test_a_broken_experiment_file_is_one_sentence(tmp_path):
    file = tmp_path / "broken.py"
    file.write_text("def get_config(arg=None):\n    return 1 / 0\n")
    with pytest.raises(UsageError, match="ZeroDivisionError"):
        config.load(str(file))


def test_all_problems_are_reported_at_once(adding):
    adding.optimizer.rule = "adamm"
    adding.num_steps = 0
    adding.dataset.length = 1
    with pytest.raises(UsageError) as caught:
        config.validate(adding)
    for word in ("adamm", "num_steps", "length"):
        assert word in str(caught.value)


def test_a_stored_config_of_another_version_is_one_sentence(adding):
    stored = config.to_json(adding)
    stored["model"]["wings"] = 2
    with pytest.raises(UsageError, match="does not fit this version"):
        config.from_json(stored)
