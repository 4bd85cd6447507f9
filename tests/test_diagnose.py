"""The verb `diagnose`: what it leaves of a config, a checkpoint, a run and a grid."""

import csv
import json
from functools import partial

import jax
import numpy as np
import pytest
import runs

import launch
from seqgen import (
    backend,
    cells,
    diagnose,
    diagnosis_report,
    gate_views,
    gradient_flow,
    gradient_pictures,
    gradient_records,
    report,
    walks,
)
from seqgen import config as configs
from seqgen.errors import UsageError
from seqgen.layers import RecurrentOptions
from seqgen.metrics import gradients


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    """JAX has begun already; and nobody looks at the pictures."""
    monkeypatch.setattr(backend, "start", lambda *_, **__: None)
    monkeypatch.setitem(gradient_pictures.STYLE, "savefig.dpi", 20)


def launched(capsys, *arguments):
    capsys.readouterr()
    code = launch.main(["launch.py", "diagnose", *arguments])
    return code, *capsys.readouterr()


def experiment(folder, **fields):
    """The flag that names a tiny tanh network on the adding problem as a user's experiment."""
    file = folder / "tiny.py"
    changes = "".join(f"    c.{name.replace('__', '.')} = {v!r}\n" for name, v in fields.items())
    file.write_text(
        "from seqgen import config\n\n\ndef get_config(arg=None):\n"
        '    c = config.default(dataset="adding", model="many_to_one", objective="likelihood")\n'
        "    c.dataset.length, c.dataset.test_size, c.dataset.batch_size = 12, 6, 4\n"
        '    c.model.hidden_size, c.model.cell = 4, "rnn"\n'
        f"{changes}    return c\n"
    )
    return f"--config={file}"


def stored(folder, name):
    return json.loads((folder / "diagnoses" / name).read_text())


def test_an_orthogonal_linear_network_loses_nothing(tmp_path, capsys):
    flag = experiment(tmp_path, model__activation="identity")
    code, out, err = launched(capsys, flag, f"--workdir={tmp_path / 'd'}")
    assert (code, err) == (0, "")
    (file,) = (tmp_path / "d" / "diagnoses").glob("valid-0-*.json")
    (layer,) = stored(tmp_path / "d", file.name)["layers"]
    assert layer["decay"]["verdict"] == "stable"
    np.testing.assert_allclose(layer["decay"]["rate"], 0, atol=1e-4)
    np.testing.assert_allclose(layer["jacobian"]["largest_log10"], 0, atol=1e-4)
    np.testing.assert_allclose(layer["jacobian"]["smallest_log10"], 0, atol=1e-4)
    np.testing.assert_allclose(layer["lyapunov_nats_per_step"], 0, atol=1e-4)
    np.testing.assert_allclose(layer["jacobian"]["bound"]["step"], 1, atol=1e-4)
    assert layer["gates"]["candidate"]["mean"] == 1
    pictures = {path.name for path in (tmp_path / "d" / "diagnoses").glob("*.png")}
    names = ("gradients", "jacobians", "slopes", "layers-recurrent-layer_0")
    assert pictures == {f"{file.stem}-{name}.png" for name in names}
    assert all(name in out for name in pictures)


@pytest.mark.slow
def test_a_grid_is_one_table_in_which_the_scale_of_the_weights_tells(tmp_path, capsys):
    flag = experiment(tmp_path, model__activation="identity", model__hidden_size=2)
    grid = "--grid=model.recurrent_scale=0.25,4"
    code, _, _ = launched(capsys, flag, grid, f"--workdir={tmp_path / 'd'}")
    assert code == 0
    (file,) = (tmp_path / "d" / "diagnoses").glob("valid-grid-*.csv")
    header, *lines = csv.reader(file.read_text().splitlines())
    rows = [dict(zip(header, line, strict=True)) for line in lines]
    assert [row["verdict"] for row in rows] == ["vanishing", "exploding"]
    for row, scale in zip(rows, (0.25, 4), strict=True):
        assert float(row["model.recurrent_scale"]) == scale
        for name in ("lyapunov", "rate"):
            np.testing.assert_allclose(float(row[name]), np.log(scale), rtol=1e-3)
        np.testing.assert_allclose(float(row["bound"]), scale, rtol=1e-3)
    np.testing.assert_allclose(float(rows[0]["half_life"]), 0.5, rtol=1e-3)
    assert rows[1]["half_life"] == "Infinity"
    assert file.with_suffix(".png").exists()
    page = report.report(tmp_path / "d").read_text()
    assert "grid model.recurrent_scale=0.25,4" in page and page.count("<img") == 1
    assert "| 0.25 | recurrent/layer_0 | 0.5 |" in (tmp_path / "d" / "report.md").read_text()


def test_configs_diagnosed_in_one_directory_stand_side_by_side_in_its_report(tmp_path, capsys):
    for activation in ("identity", "tanh"):
        flag = experiment(tmp_path, model__activation=activation)
        assert launched(capsys, flag, f"--workdir={tmp_path / 'd'}")[0] == 0
    files = sorted((tmp_path / "d" / "diagnoses").glob("*.json"))
    activations = {stored(tmp_path / "d", f.name)["layers"][0]["activation"] for f in files}
    assert activations == {"identity", "tanh"}
    (layer,) = stored(tmp_path / "d", files[0].name)["layers"]
    of_each_BT = np.asarray(layer["gradient_log10_by_step_of_each_example"], float)
    assert of_each_BT.shape == (4, 12)
    np.testing.assert_allclose(of_each_BT.mean(0), layer["gradient_log10_by_step"], rtol=1e-4)
    page = report.report(tmp_path / "d").read_text()
    assert page.count("<h2>adding, many_to_one at initialisation</h2>") == 2
    assert page.count("<img") == 8 and page.count("recurrent/layer_0</td>") == 2


def test_a_grid_is_refused_before_any_of_it_is_measured(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(diagnose, "seen", None)  # what measures
    flag = experiment(tmp_path, objective__vanishing_penalty=0.1)
    grid = "--grid=model.cell=rnn,lstm"
    code, _, err = launched(capsys, flag, grid, f"--workdir={tmp_path / 'd'}")
    assert code == 2 and "vanishing_penalty" in err and len(err.splitlines()) == 1


def test_a_checkpoint_that_goes_away_is_left_out(trained, capsys, monkeypatch):
    there = diagnose.runs.parameters

    def parameters(run, step):
        if step == 4:
            raise UsageError("there is no checkpoint of step 4")
        return there(run, step)

    monkeypatch.setattr(diagnose.runs, "parameters", parameters)
    code, out, err = launched(capsys, f"--workdir={trained}", "--checkpoint=all")
    assert (code, err) == (0, "")
    assert "step 4 is left out: there is no checkpoint of step 4" in out
    layers = stored(trained, "valid-training.json")["layers"]["recurrent/layer_0"]
    assert [layer["step"] for layer in layers] == [0, 8]


def test_a_table_of_tuples_stays_a_table():
    layer = {
        "layer": "recurrent/layer_0",
        "steps": 3,
        "decay": gradients.Decay(-0.1, 7.0, 0.3, 0.0, "stable")._asdict(),
        "jacobian": {"bound": None},
        "gates": {},
        "lyapunov_nats_per_step": [-0.1],
    }
    sheet = gradient_records.spreadsheet([{"chosen": {"model.encoder_sizes": (64, 64)}, **layer}])
    header, line = csv.reader(sheet.splitlines())
    assert len(header) == len(line) and line[0] == "[64, 64]"


def test_a_latent_space_is_diagnosed_under_each_of_its_bounds():
    for bound in ("elbo", "iwae", "dreg"):
        c = configs.default(dataset="sines", model="vae", objective="elbo")
        c.dataset.length, c.dataset.batch_size, c.dataset.train_size = 6, 4, 8
        c.model.encoder = c.model.decoder = "recurrent"
        c.model.encoder_sizes = c.model.decoder_sizes = (3,)
        c.model.latent_size, c.objective.bound = 2, bound
        c.model.likelihood = "gaussian"
        one = diagnose.subject(c, "valid")
        params = jax.eval_shape(partial(diagnose.begun, one))
        walked, _ = jax.eval_shape(diagnose.watched(one).look, params, one.batch)
        assert any(path.startswith("decoder") for path in walked)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a character model, all of whose checkpoints are kept."""
    folder = tmp_path_factory.mktemp("trained")
    config = runs.small("streams", folder)
    config.num_steps, config.eval_every, config.checkpoint_every = 8, 8, 4
    config.log_every = 4
    runs.run(config, folder / "run")
    return folder / "run"


@pytest.mark.slow
def test_a_checkpoint_and_a_training_of_text(trained, capsys):
    where = f"--workdir={trained}"
    code, _, err = launched(capsys, where, "--checkpoint=latest", "--prompt=the dog")
    assert (code, err) == (0, "")
    code, out, err = launched(capsys, where, "--checkpoint=all")
    assert (code, err) == (0, "")
    assert [line.split()[1] for line in out.splitlines() if "half-life" in line] == ["0", "4", "8"]
    layers = stored(trained, "valid-training.json")["layers"]["recurrent/layer_0"]
    last = stored(trained, "valid-8.json")["layers"][0]
    assert [layer["step"] for layer in layers] == [0, 4, 8]
    np.testing.assert_allclose(
        layers[-1]["gradient_log10_by_step"], last["gradient_log10_by_step"], rtol=1e-3
    )
    assert layers[0]["decay"] != layers[-1]["decay"]
    page = diagnosis_report.section(trained)
    assert page.count("<tr>") == 2
    assert page.count("<img") == 5


def test_a_prompt_is_read_as_the_model_reads_it(trained):
    config = runs.small("streams", trained.parent)
    one = diagnose.subject(config, "valid")
    params = diagnose.begun(one)
    lens = gradient_flow.lens(one.objective, params, one.batch)
    shown = gate_views.given(config, one.dataset.spec, one.batch, "the\ndog")
    assert shown.read == ["t", "h", "e", "↵", "d", "o", "g"]
    walk = lens.look(params, shown.batch)[0]["recurrent/layer_0"]
    told = gradient_flow.told(lens.layers["recurrent/layer_0"], walk)
    over_time = gradient_flow.over_time(lens.layers["recurrent/layer_0"], told)
    assert list(over_time) == ["forget", "store", "update", "output"]
    model = configs.model(config, one.dataset.spec)
    carry, c_D = model.initial_carry(1), np.zeros(8)
    for t in range(7):
        token_B1 = shown.batch["inputs"][:, t : t + 1]
        carry, _ = model.apply({"params": params["model"]}, token_B1, carry)
        c_D = over_time["forget"][t] * c_D + over_time["store"][t]
        np.testing.assert_allclose(over_time["update"][t], c_D, atol=1e-5)
        h_D = over_time["output"][t] * np.tanh(c_D)
        np.testing.assert_allclose(h_D, carry[0][0][1][0], atol=1e-5)


@pytest.mark.slow
def test_a_cell_that_does_not_tell_its_gates_is_measured_all_the_same(tmp_path, monkeypatch):
    own = cells.lstm()._replace(values=None, linearize=None, pull=None)
    monkeypatch.setitem(cells._FACTORIES, "lstm", lambda: own)
    config = configs.load(experiment(tmp_path, model__cell="lstm").partition("=")[2])
    one = diagnose.subject(config, "valid")
    params = diagnose.begun(one)
    lens = gradient_flow.lens(one.objective, params, one.batch)
    (found,) = gradient_records.seen(lens, params, one.batch).values()
    assert found.slopes == {}
    assert np.isfinite(found.decay.rate)
    assert list(gradient_flow.over_time(*lens.layers.values(), found.told)) == ["update"]


def test_wide_layers_are_measured_by_products_with_vectors():
    layer, walk = wide(gradient_flow.EXACT + 2)
    found = gradient_flow.spread(layer, walk)
    assert not found.exact
    assert found.singular.shape == (3, 1, gradient_flow.LARGEST)
    wanted = np.broadcast_to(found.lags[:, None, None] * np.log(0.5), found.singular.shape)
    np.testing.assert_allclose(found.singular, wanted, rtol=1e-4)
    assert found.lags.tolist() == [1, 2, 3]


def wide(units):
    """A linear layer of half the identity, over three steps."""
    options = RecurrentOptions(cell="rnn", activation="identity", hidden_size=units)
    params = {
        "w_x_EG": np.ones((1, units), np.float32),
        "w_h_DG": 0.5 * np.eye(units, dtype=np.float32),
        "b_G": np.zeros(units, np.float32),
    }
    x_TBE, real_TB = np.ones((3, 1, 1), np.float32), np.ones((3, 1), bool)
    walk = walks.Walk(params, np.zeros((1, units), np.float32), x_TBE, real_TB, None)
    return walks.Layer(options, cells.rnn("identity"), False), jax.tree.map(jax.numpy.asarray, walk)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "diagnose needs --workdir"),
        (["--workdir={run}", "--grid=seed=0..1"], "it needs --config"),
        (["--workdir={run}", "--config={tiny}"], "holds a run"),
        (["--workdir={new}", "--config={tiny}", "--checkpoint=best"], "--checkpoint is of a run"),
        (["--workdir={new}"], "holds no run"),
        (["--workdir={run}", "--checkpoint=all", "--prompt=x"], "--prompt is drawn for one"),
        (["--workdir={run}", "--checkpoint=soon"], "best, latest or a step"),
        (["--workdir={run}", "--split=tset"], "did you mean 'test'"),
        (["--workdir={run}", "--checkpoint=latest", "--prompt=t"], "too few steps"),
        (["--workdir={new}", "--config={tiny}", "--prompt=x"], "--prompt is for text"),
        (["--workdir={new}", "--config={tiny}", "--grid=model.cel=rnn"], "'model.cell'"),
        (["--workdir={new}", "--config={tiny}", "--grid=model.cell=lstn"], "'lstm'"),
        pytest.param(["--workdir={new}", "--config={gan}"], "walks none", marks=pytest.mark.slow),
    ],
)
def test_a_slip_is_one_sentence(arguments, sentence, trained, tmp_path, capsys):
    places = {
        "run": trained,
        "new": tmp_path / "new",
        "tiny": experiment(tmp_path).partition("=")[2],
        "gan": launch.EXPERIMENTS / "ring_gan.py",
    }
    code, _, err = launched(capsys, *(argument.format(**places) for argument in arguments))
    assert code == 2
    assert sentence in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "new" / "diagnoses").exists()


@pytest.mark.slow
def test_models_of_answers_have_walks_of_both_sides():
    config = configs.default(dataset="dates", model="encoder_decoder", objective="likelihood")
    config.model.hidden_size = config.model.embedding_size = 4
    config.dataset.batch_size = 4
    one = diagnose.subject(config, "valid")
    params = diagnose.begun(one)
    lens = gradient_flow.lens(one.objective, params, one.batch)
    _, flows = lens.look(params, one.batch)
    assert gradient_flow.in_order(flows) == ["encoder/layer_0", "decoder/recurrent/layer_0"]
    for flow in flows.values():
        assert np.isfinite(np.asarray(flow.last)[np.asarray(flow.before_last)]).all()
        assert gradient_records.decay(jax.device_get(flow)).blocked == 0
    # an answer's last step is that of its end, which not all reach together
    ends_B = np.argmax(np.asarray(one.batch["targets"]) == 0, axis=1)
    steps_B = np.sum(flows["decoder/recurrent/layer_0"].before_last, axis=0)
    np.testing.assert_array_equal(steps_B, ends_B + 1)
    config.model.input_feeding = True
    one = diagnose.subject(config, "valid")
    with pytest.raises(UsageError, match="loop of its own"):
        gradient_flow.lens(one.objective, diagnose.begun(one), one.batch)


@pytest.mark.slow
def test_a_decoder_is_drawn_where_it_has_something_to_write():
    small = {"model.hidden_size": 4, "model.embedding_size": 4, "dataset.batch_size": 4}
    text = configs.default(dataset="sentences", model="sequence_vae", objective="elbo")
    answers = configs.default(dataset="dates", model="encoder_decoder", objective="likelihood")
    drawn = {}
    for config, prompt in ((text, "the dog"), (answers, "1 May 2020")):
        config.update_from_flattened_dict(small)
        one = diagnose.subject(config, "valid")
        params = diagnose.begun(one)
        lens = gradient_flow.lens(one.objective, params, one.batch)
        for given in (None, prompt):
            shown = gate_views.given(config, one.dataset.spec, one.batch, given)
            pictures = dict(gate_views.drawn(lens, params, shown, "a model"))
            drawn[given, config.dataset.name] = {path.partition("/")[0] for path in pictures}
            assert all(picture.startswith(b"\x89PNG") for picture in pictures.values())
    assert drawn.pop(("1 May 2020", "dates")) == {"encoder"}  # a prompt has no answer
    assert all(sides == {"encoder", "decoder"} for sides in drawn.values())
