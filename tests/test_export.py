"""An exported file holds what evaluation uses, to the bit, and says what it is."""

import json
import sys

import jax
import numpy as np
import pytest
import runs

import launch
from seqgen import backend, export, run_directory, session
from seqgen import config as configs
from seqgen import run as stored_runs
from seqgen.checkpoint import Checkpoints
from seqgen.errors import Failure, UsageError
from seqgen.progress import Progress


@pytest.fixture(scope="module")
def averaged(tmp_path_factory):
    """A run with a checkpoint whose averages are not its parameters."""
    folder = tmp_path_factory.mktemp("averaged")
    config = runs.small("procedural", folder)
    config.ema = 0.9
    with Progress(folder / "log.txt") as progress:
        state = session.prepare(config, folder, progress).begin()
    state = state.replace(ema=jax.tree.map(lambda x: x + 1, state.params))
    with Checkpoints(folder) as checkpoints:
        checkpoints.save(16, state, meta={}, best=True)
    return folder


def launched(capsys, *arguments):
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch:  # JAX has begun already
        patch.setattr(backend, "start", lambda *_, **__: None)
        code = launch.main(["launch.py", "export", *arguments])
    return code, *capsys.readouterr()


def of_a_checkpoint(run, step):
    """Name -> array of the averages, without `run.parameters`."""
    target = jax.eval_shape(run.objective.init, jax.random.key(0), stored_runs.example(run.spec, 1))
    with Checkpoints(run.workdir, writer=False) as checkpoints:
        tree = checkpoints.restore({"ema": target[0]}, step).state["ema"]
    layer = tree["model"]["recurrent"]["layer_0"]
    dense = {n: array for n, array in tree["model"].items() if n != "recurrent"}
    flat = {f"model/recurrent/layer_0/{name}": array for name, array in layer.items()}
    return flat | {f"model/{n}/{k}": a for n, both in dense.items() for k, a in both.items()}


def test_an_npz_holds_the_averages_of_the_checkpoint_and_its_origin(averaged, capsys):
    code, out, _ = launched(capsys, f"--workdir={averaged}", "--checkpoint=16", "--format=npz")
    assert code == 0
    run = stored_runs.load(averaged)
    wanted = of_a_checkpoint(run, 16)
    with np.load(averaged / "exports" / "step16.npz") as file:
        metadata = json.loads(str(file["metadata.json"]))
        assert set(file.files) == wanted.keys() | {"metadata.json"}
        for name, array in wanted.items():
            np.testing.assert_array_equal(file[name], array, strict=True)
    for name, array in wanted.items():
        (line,) = [line for line in out.splitlines() if line.startswith(f"{name} ")]
        assert line.split(maxsplit=1)[1].partition("  ")[0] == str(array.shape)
        assert line.endswith("float32")
    assert "averages (ema=0.9), as evaluation uses them" in out
    config, spec, provenance = (json.loads(metadata[n]) for n in ("config", "spec", "provenance"))
    assert configs.from_json(config) == run.config
    assert spec == run.spec
    assert provenance["step"] == 16
    assert provenance["ema"] == 0.9
    assert provenance["data_fingerprint"] == run.fingerprint
    recorded = run_directory.read_json(averaged / "environment.json")
    assert provenance["environment"] == recorded


def test_safetensors_read_by_their_own_package_are_the_same(averaged, capsys):
    safetensors = pytest.importorskip("safetensors")
    where = (f"--workdir={averaged}", "--checkpoint=16")
    assert launched(capsys, *where, "--format=npz")[0] == 0
    assert launched(capsys, *where, "--format=safetensors")[0] == 0
    folder = averaged / "exports"
    with (
        np.load(folder / "step16.npz") as other,
        safetensors.safe_open(folder / "step16.safetensors", framework="np") as file,
    ):
        assert file.metadata() == json.loads(str(other["metadata.json"]))
        assert set(file.keys()) == set(other.files) - {"metadata.json"}
        for name in file.keys():  # noqa: SIM118  (it is no mapping)
            np.testing.assert_array_equal(file.get_tensor(name), other[name], strict=True)


def test_a_game_exports_both_players_and_statistics_beside_the_parameters(averaged):
    game = {"generator": {"w": np.ones(2)}, "discriminator": {"w": np.zeros(())}}
    found = stored_runs.Found(7, game, {"shared": {"mean": np.arange(3)}}, "digest")
    file, arrays = export.export(stored_runs.load(averaged), found, "npz")
    assert list(arrays) == ["discriminator/w", "generator/w", "memory/shared/mean"]
    with np.load(file) as stored:
        assert stored["discriminator/w"].shape == ()
        assert json.loads(json.loads(str(stored["metadata.json"]))["provenance"])["players"] == [
            "discriminator",
            "generator",
        ]


def test_changed_sees_every_bit_shape_dtype_and_name():
    a = {"x": np.zeros(2), "n": np.array(np.nan)}
    assert export.changed(a, {n: array.copy() for n, array in a.items()}) == []
    for other in (
        np.array([0.0, -0.0]),
        np.zeros((2, 1)),
        np.zeros(2, np.float32),
        np.zeros(4, "f4"),
    ):
        assert export.changed(a, a | {"x": other}) == ["x"]
    assert export.changed(a, {"x": a["x"], "y": a["n"]}) == ["n", "y"]


@pytest.mark.parametrize("broken", ["arrays", "metadata"])
def test_a_file_that_did_not_keep_them_is_removed(broken, averaged, capsys, monkeypatch):
    npz = export.FORMATS["npz"]

    def forgetful(arrays, metadata):
        if broken == "arrays":
            return npz.packed({n: a.astype(np.float16) for n, a in arrays.items()}, metadata)
        return npz.packed(arrays, metadata | {"spec": "{}"})

    monkeypatch.setitem(export.FORMATS, "npz", npz._replace(packed=forgetful))
    code, out, err = launched(capsys, f"--workdir={averaged}", "--checkpoint=16")
    assert (code, out) == (Failure.exit_code, "")
    assert "step16.npz did not keep " in err and "was removed" in err
    assert not (averaged / "exports" / "step16.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "export needs --workdir"),
        (["--workdir=nowhere"], "nowhere holds no run"),
        (["--format=safetensor"], "did you mean 'safetensors'? have: npz, safetensors"),
        (["--checkpoint=5"], "there is no step 5"),
        (["--checkpoint=first"], "best, latest or a step"),
        (
            ["--format=safetensors"],
            "safetensors is not installed; it comes with the extra 'export'",
        ),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, averaged, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    if arguments and not arguments[0].startswith("--workdir"):
        arguments = [f"--workdir={averaged}", *arguments]
    code, _, err = launched(capsys, *arguments)
    assert code == UsageError.exit_code
    assert sentence in err and len(err.strip().splitlines()) == 1
