"""A stored state comes back bit for bit, in its own form, or not at all."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import states

from seqgen import interrupt, run_directory, stored_state
from seqgen.errors import UsageError


def store(directory, state):
    directory.mkdir()
    leaves, arrays = stored_state.snapshot(state)
    body = {"step": 1, "best": False, "meta": {"rate": 0.1}, "leaves": leaves}
    stored_state.write(directory, arrays, body)
    return directory


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return store(tmp_path_factory.mktemp("stored") / "1", states.make(1))


def files(directory):
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_every_kind_of_leaf_comes_back_bit_for_bit(stored):
    state = states.make(1)
    for target in (state, states.make(2), states.target(state)):
        loaded, manifest = stored_state.load(stored, target)
        states.assert_same(loaded, state)
        assert manifest["meta"] == {"rate": 0.1}
    assert all(
        leaf.devices() == {jax.devices()[0]}
        for leaf in jax.tree.leaves(loaded)
        if isinstance(leaf, jax.Array)
    )


def test_a_restored_state_is_used_and_donated_like_the_original(stored):
    step = jax.jit(lambda s: jax.tree.map(lambda x: x + 1, s), donate_argnums=0)
    loaded, _ = stored_state.load(stored, {"params": states.target(states.make(1).params)})
    moved = step(loaded)
    states.assert_same(moved, step({"params": states.make(1).params}))


def test_a_snapshot_outlives_its_donated_state():
    step = jax.jit(lambda x: x * 0 - 1, donate_argnums=0)
    x = jnp.arange(100_000.0)
    host = np.arange(10.0)
    _, arrays = stored_state.snapshot({"x": x, "host": host})
    x = jax.block_until_ready(step(x))
    host += 1
    assert np.array_equal(arrays["x"], np.arange(100_000.0, dtype=np.float32))
    assert np.array_equal(arrays["host"], np.arange(10.0))


def test_some_fields_alone_are_restored_and_all_of_them_must_fit(stored):
    state = states.make(1)
    part = {"params": states.target(state.params), "key": states.target(state.key)}
    loaded, _ = stored_state.load(stored, part)
    states.assert_same(loaded, {"params": state.params, "key": state.key})
    del part["params"]["player"]["half"]
    with pytest.raises(UsageError, match="params/player/half is in the checkpoint alone"):
        stored_state.load(stored, part)


def changed(field, **leaves):
    state = states.target(states.make(1))
    player = {**state.params["player"], **leaves}
    return state.replace(params={"player": player}) if field is None else state.replace(**field)


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            changed(None, w_DV=jax.ShapeDtypeStruct((9, 3), jnp.float32)),
            r"w_DV is \(8, 3\) float32 in the checkpoint and \(9, 3\) float32 in this model",
        ),
        (changed(None, w_DV=jax.ShapeDtypeStruct((8, 3), jnp.bfloat16)), r"\(8, 3\) bfloat16"),
        (changed(None, new=jnp.zeros(1)), "params/player/new is in this model alone"),
        (changed({"ema": {"w": jnp.zeros(1)}}), "ema/w is in this model alone"),
        (changed({"memory": None}), "memory/rows/0 is in the checkpoint alone.*and 2 more"),
        (
            changed(
                {"key": {"run": jax.random.key(1), "lanes": jax.random.split(jax.random.key(1))}}
            ),
            "key<rbg>",
        ),
    ],
)
def test_another_form_is_refused_in_one_sentence(stored, target, sentence):
    with pytest.raises(UsageError, match=sentence) as refusal:
        stored_state.load(stored, target)
    assert "\n" not in str(refusal.value)


def test_nothing_is_cast_for_want_of_64_bits(tmp_path):
    directory = store(tmp_path / "1", {"x": np.float64([1 / 3])})
    with pytest.raises(UsageError, match="x is float64, which needs jax_enable_x64"):
        stored_state.load(directory, {"x": jax.ShapeDtypeStruct((1,), np.float64)})


def test_leaves_that_are_no_arrays_or_have_no_name_of_their_own_are_refused():
    with pytest.raises(TypeError, match="a/0 is a str"):
        stored_state.snapshot({"a": ["text"]})
    with pytest.raises(ValueError, match="same name"):
        stored_state.snapshot({"a": {"b": jnp.zeros(1)}, "a/b": jnp.zeros(1)})


def flip(content, place):
    changed = bytearray(content)
    changed[place] ^= 1 << (place % 8)
    return bytes(changed)


DAMAGES = {
    "first byte": lambda content: flip(content, 0),
    "middle byte": lambda content: flip(content, len(content) // 2),
    "last byte": lambda content: flip(content, len(content) - 1),
    "half lost": lambda content: content[: len(content) // 2],
    "all lost": lambda content: b"",
    "added to": lambda content: content + b"\0",
    "deleted": lambda content: None,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_to_any_file_is_noticed(tmp_path, stored, damage):
    damaged = tmp_path / "1"
    subprocess.run(["cp", "-r", stored, damaged], check=True)
    state = states.make(1)
    seen = set()
    for file in files(damaged):
        content = file.read_bytes()
        worse = (
            DAMAGES[damage](content) if content or damage in ("added to", "deleted") else content
        )
        if worse == content:
            continue
        file.unlink()
        if worse is not None:
            file.write_bytes(worse)
        with pytest.raises(stored_state.DamageError):
            stored_state.load(damaged, state)
        file.write_bytes(content)
        seen.add(file.name)
    assert {"manifest.json", "_METADATA", "manifest.ocdbt"} <= seen
    states.assert_same(stored_state.load(damaged, state)[0], state)


def test_no_flipped_byte_of_the_arrays_gives_other_arrays(tmp_path, stored):
    """Fifty random bytes; Orbax alone loads some of them as they are."""
    damaged = tmp_path / "1"
    subprocess.run(["cp", "-r", stored, damaged], check=True)
    random = np.random.default_rng(0)
    data = [file for file in files(damaged) if file.parent.name == "d"]
    for _ in range(50):
        file = data[random.integers(len(data))]
        content = file.read_bytes()
        file.write_bytes(flip(content, int(random.integers(len(content)))))
        with pytest.raises(stored_state.DamageError, match=file.name):
            stored_state.load(damaged, states.make(1))
        file.write_bytes(content)


def test_the_manifest_vouches_for_its_own_words(tmp_path, stored):
    damaged = tmp_path / "1"
    subprocess.run(["cp", "-r", stored, damaged], check=True)
    content = (damaged / "manifest.json").read_bytes()
    for old, new in (
        (b'"rate":0.1', b'"rate":0.3'),
        (b"params/player/half", b"params/player/hald"),
    ):
        assert content.count(old) == 1
        (damaged / "manifest.json").write_bytes(content.replace(old, new))
        with pytest.raises(stored_state.DamageError, match="does not match its own digest"):
            stored_state.load(damaged, states.make(1))


def test_the_format_of_another_version_is_refused(tmp_path):
    directory = store(tmp_path / "1", {"x": np.zeros(1)})
    found = stored_state.manifest(directory)
    body = {**found, "schema_version": 2}
    del body["digest"]
    run_directory.write_json(
        directory / "manifest.json", {**body, "digest": run_directory.digest(body)}
    )
    with pytest.raises(UsageError, match="has format 2; this version reads 1"):
        stored_state.load(directory, {"x": np.zeros(1)})


def test_a_directory_without_a_manifest_is_damaged(tmp_path):
    with pytest.raises(stored_state.DamageError, match=r"manifest.json does not exist"):
        stored_state.load(tmp_path, {"x": np.zeros(1)})


SHARDED = """
import sys
from pathlib import Path
import jax, numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from seqgen import stored_state
assert jax.device_count() == 2
mesh = jax.make_mesh((2,), ("batch",), (jax.sharding.AxisType.Auto,))
put = lambda x, *axes: jax.device_put(x, NamedSharding(mesh, PartitionSpec(*axes)))
state = {
    "rows": put(np.arange(8.0, dtype=np.float32).reshape(4, 2), "batch"),
    "params": put(np.arange(3.0, dtype=np.float32)),
    "key": put(jax.random.key(3)),
    "none": put(np.zeros((0, 2), np.float32), None, "batch"),
}
if sys.argv[2] == "save":
    leaves, arrays = stored_state.snapshot(state)
    body = {"step": 1, "best": False, "meta": {}, "leaves": leaves}
    Path(sys.argv[1]).mkdir()
    stored_state.write(Path(sys.argv[1]), arrays, body)
shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)
for target in (state, shapes):
    loaded, _ = stored_state.load(Path(sys.argv[1]), target)
    for name, leaf in loaded.items():
        assert leaf.sharding.is_equivalent_to(state[name].sharding, leaf.ndim), name
        raw = jax.random.key_data if name == "key" else lambda x: x
        assert np.array_equal(raw(leaf), raw(state[name])), name
"""


def with_two_devices(directory, what):
    flags = "--xla_force_host_platform_device_count=2"
    subprocess.run(
        [sys.executable, "-c", SHARDED, str(directory), what],
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
        cwd=Path(__file__).parents[1],
        check=True,
    )


def test_sharded_arrays_come_back_sharded_and_go_to_any_number_of_devices(tmp_path):
    with_two_devices(tmp_path / "two", "save")
    state = {
        "rows": jnp.arange(8.0).reshape(4, 2),
        "params": jnp.arange(3.0),
        "key": jax.random.key(3),
        "none": jnp.zeros((0, 2)),
    }
    loaded, _ = stored_state.load(tmp_path / "two", states.target(state))
    states.assert_same(loaded, state)
    store(tmp_path / "one", state)
    with_two_devices(tmp_path / "one", "load")


def test_the_manifest_is_json_that_says_what_is_stored(stored):
    leaves = json.loads((stored / "manifest.json").read_text())["leaves"]
    assert leaves["params/player/w_DV"] == {"shape": [8, 3], "dtype": "float32"}
    assert leaves["key/run"] == {"shape": [], "dtype": "key<fry>", "key": "threefry2x32"}


def test_a_process_of_its_own_writes_and_fails_as_this_one_does(tmp_path):
    leaves, arrays = stored_state.snapshot({"x": np.arange(3.0)})
    body = {"leaves": leaves, "step": 1, "best": False, "meta": {}}
    (tmp_path / "saved").mkdir()
    (tmp_path / "file").write_text("")
    with stored_state.process_of_its_own() as apart:
        process = apart.submit(os.getpid).result()
        for number in interrupt.SIGNALS:  # are the run's to handle: this one has a save to finish
            os.kill(process, number)
        stored_state.write_apart(apart, tmp_path / "saved", arrays, body)
        with pytest.raises(NotADirectoryError) as caught:
            stored_state.write_apart(apart, tmp_path / "file" / "below", arrays, body)
    assert stored_state.cause(caught.value) is caught.value
    state, _ = stored_state.load(tmp_path / "saved", {"x": np.zeros(3)})
    np.testing.assert_array_equal(state["x"], arrays["x"])


@pytest.mark.slow
def test_a_process_of_its_own_ends_with_one_that_is_killed():
    code = """
import os, signal
from seqgen import stored_state
if __name__ == "__main__":
    apart = stored_state.process_of_its_own()
    print(apart.submit(os.getpid).result(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    command, root = [sys.executable, "-c", code], Path(__file__).parents[1]
    done = subprocess.run(command, cwd=root, stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    process, deadline = int(done.stdout), time.monotonic() + 10
    with pytest.raises(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(process, 0)
            time.sleep(0.05)
