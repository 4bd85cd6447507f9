import importlib
import json
import math
import textwrap

import pytest
from absl import flags

from seqgen import config, overrides, run_directory
from seqgen.errors import UsageError


@pytest.fixture
def adding():
    return config.default(dataset="adding", model="many_to_one", objective="likelihood")


@pytest.fixture
def game():
    return config.default(dataset="points", model="gan", objective="adversarial")


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
    rest, _ = overrides.from_command_line(["launch.py", *arguments], values)
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


@pytest.mark.parametrize("place", [0, 1, 2])
def test_the_experiment_may_be_an_argument_of_its_own(experiment, place):
    others = ["--config.model.cell=gru", "--config.num_steps=3"]
    c = parsed(*others[:place], "--config", f"{experiment}:large", *others[place:])
    assert (c.model.hidden_size, c.model.cell, c.num_steps) == (16, "gru", 3)


def test_the_experiment_may_be_at_home(experiment, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parsed("--config=~/mine.py:large").model.hidden_size == 16


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


@pytest.mark.parametrize(
    ("name", "nearest", "have", "not_have"),
    [
        ("model.hiden_size", "'model.hidden_size'", "model.cell", "optimizer.rule"),
        ("optimiser.rule", "'optimizer.rule'", "optimizer.beta1", "model.cell"),
        ("num_stps", "'num_steps'", "log_every", "dataset.length"),
        ("qqqqqqqq", None, "log_every", "dataset.length"),
        ("dataset.qqqqqqqqqq", None, "dataset.length", "log_every"),
    ],
)
def test_a_wrong_field_is_answered_with_those_of_its_section(
    experiment, name, nearest, have, not_have
):
    with pytest.raises(UsageError) as caught:
        parsed(f"--config={experiment}", f"--config.{name}=3")
    hint, _, choices = str(caught.value).partition(" have: ")
    meant = f" did you mean {nearest}?" if nearest else ""
    assert hint == f"unknown config field {name!r};{meant}"
    assert have in choices.split(", ") and not_have not in choices.split(", ")


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


def test_a_file_that_makes_no_config_is_one_sentence(tmp_path):
    file = tmp_path / "nothing.py"
    file.write_text("def get_config(arg=None):\n    pass\n")
    with pytest.raises(UsageError, match="nothing.py returned None, not a config"):
        config.load(str(file))
    file = tmp_path / "README.md"
    file.write_text("# seqgen\n")
    with pytest.raises(UsageError, match="README.md is no experiment"):
        config.load(str(file))


def test_all_problems_are_reported_at_once(adding):
    adding.optimizer.rule = "adamm"
    adding.num_steps = 0
    adding.dataset.length = 1
    with pytest.raises(UsageError) as caught:
        config.validate(adding)
    for word in ("adamm", "num_steps", "length"):
        assert word in str(caught.value)


OUT_OF_RANGE = {
    "seed": (-1, 2**32),
    "num_steps": (0,),
    "schedule_steps": (0,),
    "log_every": (0,),
    "eval_every": (0,),
    "checkpoint_every": (0,),
    "keep_every": (0,),
    "patience": (0,),
    "stop_detectable": (0.5, 1.0),
    "accumulate": (0,),
    "ema": (-0.1, 1.0),
    "max_nonfinite": (0,),
    "optimizer.rule": ("adamm",),
    "optimizer.schedule": ("cosin",),
    "optimizer.learning_rate": (0.0, -1.0),
    "optimizer.warmup_steps": (-1,),
    "optimizer.final_scale": (-0.1, 1.1),
    "optimizer.decay_every": (0,),
    "optimizer.decay_rate": (0.0, -0.5),
    "optimizer.plateau_patience": (0,),
    "optimizer.plateau_scale": (0.0, -0.5),
    "optimizer.beta1": (-0.1, 1.0),
    "optimizer.beta2": (-0.1, 1.0),
    "optimizer.epsilon": (-1e-8,),
    "optimizer.weight_decay": (-0.1,),
    "optimizer.decay_parameters": ("(",),
    "optimizer.frozen": ("(",),
    "optimizer.clip_norm": (0.0,),
    "optimizer.clip_value": (0.0,),
    "optimizer.clip_adaptive": (0.0,),
    "model.cell": ("lstn",),
    "model.activation": ("tanhh", "max", "glu", "one_hot", "softmax"),
    "model.hidden_size": (0,),
    "model.num_layers": (0,),
    "model.recurrent_init": ("orthogonl",),
    "model.chrono_max": (2,),
    "model.dropout": (-0.1, 1.0),
    "model.zoneout": (-0.1, 1.0),
    "model.product_dtype": ("bfloat17",),
    "model.backward": ("chunk",),
    "model.embedding_size": (0,),
    "model.input_dropout": (-0.1, 1.0),
    "model.output_dropout": (-0.1, 1.0),
    "dataset.batch_size": (0,),
    "dataset.length": (0,),
    "dataset.unit": ("char",),
    "dataset.shares": ((0.9, 0.2, 0.0), (0.9, float("nan"), 0.1)),
    "dataset.restart": (-0.1, 1.0),
    "dataset.eval_streams": (0,),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OUT_OF_RANGE.items() for value in values]
)
def test_a_value_out_of_range_is_one_problem_that_names_the_field(name, value):
    c = config.default(dataset="text", model="many_to_many", objective="likelihood")
    if name == "model.activation":
        c.model.cell = "rnn"
    c.update_from_flattened_dict({name: value})
    with pytest.raises(UsageError, match=name.rpartition(".")[2]) as caught:
        config.validate(c)
    assert ";" not in str(caught.value) or "; did you mean" in str(caught.value)


def test_no_float_may_be_nan_or_infinite():
    parts = {"model": "many_to_many", "objective": "likelihood"}
    for dataset in config.names("dataset"):
        for name in config.fields(config.default(dataset=dataset, **parts)):
            for value in (math.nan, math.inf):
                c = config.default(dataset=dataset, **parts)
                *section, leaf = name.split(".")
                if (c[section[0]] if section else c).get_type(leaf) is float:
                    c.update_from_flattened_dict({name: value})
                    with pytest.raises(UsageError, match=f"{name} must be a finite number"):
                        config.validate(c)


def test_numbers_at_the_ends_of_their_ranges_are_in_order():
    c = config.default(dataset="text", model="many_to_many", objective="likelihood")
    c.seed, c.ema, c.model.dropout, c.optimizer.warmup_steps = 2**32 - 1, 0.0, 0.0, 0
    c.optimizer.decay_rate = c.optimizer.final_scale = 1.0
    config.validate(c)


def test_a_monitor_that_the_data_do_not_report_is_refused_before_training(adding):
    spec = {"targets": {"kind": "real", "size": 1, "per": "sequence"}, "streamed": False}
    spec |= {"inputs": {"kind": "real", "size": 2}, "dataset": "adding", "length": 10}
    adding.monitor = "accuracy"
    with pytest.raises(UsageError, match="unknown monitor 'accuracy'; have: loss, squared_error"):
        config.assemble(adding, spec)


def test_a_stored_config_of_another_version_is_one_sentence(adding):
    stored = config.to_json(adding)
    stored["model"]["wings"] = 2
    with pytest.raises(UsageError, match="does not fit this version"):
        config.from_json(stored)


def test_a_player_has_what_it_is_given_and_else_what_all_have(adding, game):
    assert "players" not in adding
    assert config.optimizer_of(adding, "model") == config.options(adding, "optimizer")
    game.optimizer.learning_rate, game.optimizer.clip_norm = 0.01, 2.0
    game.players.generator.learning_rate, game.players.generator.beta1 = 0.03, 0.0
    shared, own = (config.optimizer_of(game, n) for n in ("discriminator", "generator"))
    assert shared == config.options(game, "optimizer")
    assert (own.learning_rate, own.beta1, own.clip_norm) == (0.03, 0.0, 2.0)
    assert (own.rule, own.beta2) == (shared.rule, shared.beta2)
    config.validate(game)


def test_the_players_that_a_config_names_are_those_of_the_game():
    for name in config.names("objective"):
        module = config.part("objective", name)
        if hasattr(module, "PLAYERS"):
            model = importlib.import_module("seqgen.models.gan")
            spec = {"inputs": {"kind": "vector", "size": 2}, "targets": {"per": "sequence"}}
            made = module.make(module.Options(), model.make(model.Options(), spec), spec)
            assert tuple(player.name for player in made.players) == module.PLAYERS


def test_overrides_of_a_player_are_typed_and_stored(game):
    values = flags.FlagValues()
    arguments = [
        "--config.players.generator.learning_rate=1",
        "--config.players.generator.warmup_steps=10",
        "--config.players.discriminator.clip_norm=None",
        "--config.players.discriminator.rule=None",
    ]
    game.players.discriminator.rule = "sgd"
    values(overrides.define_overrides(game, ["launch.py", *arguments], values))
    own = values.config.players.generator
    assert (repr(own.learning_rate), own.warmup_steps) == ("1.0", 10)
    assert values.config.players.discriminator.rule is None
    stored = json.loads(json.dumps(config.to_json(game)))
    assert config.differences(game, config.from_json(stored)) == {}
    older = {name: value for name, value in stored.items() if name != "players"}
    assert config.differences(config.from_json(older), game) == {
        "players.generator.learning_rate": (None, 1.0),
        "players.generator.warmup_steps": (None, 10),
    }


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("players.generator.learning_rat=3", "did you mean 'players.generator.learning_rate'"),
        ("players.generater.rule=adam", "did you mean 'players.generator.rule'"),
        ("players.generator.plateau_patience=3", "unknown config field"),  # the run's, as a whole
    ],
)
def test_a_wrong_field_of_a_player_is_one_sentence(game, override, sentence):
    with pytest.raises(UsageError, match=sentence):
        overrides.define_overrides(game, ["launch.py", f"--config.{override}"], flags.FlagValues())


def test_a_players_bad_values_are_named_as_its_own_and_those_of_all_once(game):
    game.players.generator.rule, game.players.generator.clip_norm = "adamm", -2.0
    game.players.discriminator.schedule = "step"
    game.optimizer.learning_rate = -1.0
    with pytest.raises(UsageError) as caught:
        config.validate(game)
    assert str(caught.value).split("; ") == [
        "optimizer.learning_rate must be above 0, not -1.0",
        "players.discriminator.schedule 'step' needs either "
        "players.discriminator.decay_every or players.discriminator.decay_at",
        "unknown players.generator.rule 'adamm'",
        "did you mean 'adam'? have: adam, adamw, lion, momentum, rmsprop, sgd",
        "players.generator.clip_norm must be above 0, not -2.0",
    ]


def test_a_configs_identity_is_its_parts_and_what_differs_from_their_defaults():
    c = config.default(dataset="adding", model="many_to_one", objective="likelihood")
    parts = {
        "dataset.name": "adding",
        "model.name": "many_to_one",
        "objective.name": "likelihood",
    }
    assert config.identity(c) == parts
    c.num_steps, c.tensorboard = c.num_steps + 1, not c.tensorboard  # a resume may change these
    assert config.identity(c) == parts
    c.seed, c.optimizer.clip_norm, c.optimizer.decay_at = 3, 1.0, (4, 5)
    own = {"seed": 3, "optimizer.clip_norm": 1.0, "optimizer.decay_at": [4, 5]}
    assert config.identity(c) == parts | own
    c.optimizer.clip_norm = None
    assert "optimizer.clip_norm" not in config.identity(c)
