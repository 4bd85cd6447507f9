"""Piano rolls: what is read, and that every frame is scored once, after all that came before it."""

import gzip
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from piano_rolls import BITS, LENGTHS, LOWEST, cells, frames, mat_bytes, numbers, write_music

from seqgen.datasets import music
from seqgen.errors import UsageError
from seqgen.models import many_to_many
from seqgen.objectives import likelihood

real_data = pytest.mark.skipif("SEQGEN_DATA" not in os.environ, reason="SEQGEN_DATA is not set")
ENDS = {split: np.cumsum(lengths) for split, lengths in LENGTHS.items()}
SCORED = {  # all but the first frame of each piece
    split: sorted(set(range(1, ends[-1] + 1)) - {1, *(ends + 1)}) for split, ends in ENDS.items()
}


def made(folder, **options):
    return music.make(music.Options(path=write_music(folder), **options))


def drawer(dataset):
    compiled = jax.jit(dataset.batch, static_argnums=1)
    draw = lambda split, i, key: compiled(dataset.arrays, split, jnp.int32(i), key)  # noqa: E731
    return lambda *which: jax.device_get(draw(*which))


def piece_of(split, number):
    return np.searchsorted(ENDS[split], number)


def walk(split, batches):
    """(numbers of all scored frames, resets inside a piece), every row checked to be contiguous."""
    scored, inside = [], []
    last = [None] * len(batches[0]["weight_B"])
    for index, batch in enumerate(batches):
        for row, length in enumerate(batch["length_B"]):
            assert not batch["inputs"][row, length:].any()
            assert not batch["targets"][row, length:].any()
            if batch["weight_B"][row] == 0:
                continue
            inputs = numbers(batch["inputs"][row, :length])
            targets = numbers(batch["targets"][row, :length])
            assert np.array_equal(targets, inputs + 1)
            assert piece_of(split, inputs[0]) == piece_of(split, targets[-1])
            begins = inputs[0] in (1, *(ENDS[split] + 1))
            if batch["reset_B"][row] and not begins:
                inside.append(index)
            assert batch["reset_B"][row] or inputs[0] == last[row]
            assert batch["reset_B"][row] or not begins
            last[row] = targets[-1]
            scored += targets.tolist()
    return scored, inside


@pytest.mark.parametrize("batch_size", [1, 3, 20])
@pytest.mark.parametrize("length", [1, 8, 50])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_evaluation_scores_every_frame_but_a_pieces_first_once(tmp_path, split, length, batch_size):
    dataset = made(tmp_path, batch_size=batch_size, length=length, transpose=3)
    draw = drawer(dataset)
    batches = [draw(split, index, None) for index in range(dataset.num_batches[split])]
    scored, inside = walk(split, batches)
    assert sorted(scored) == SCORED[split]
    assert not inside  # no row starts in the middle of a piece


@pytest.mark.parametrize("batch_size", [1, 3, 20])
def test_an_epoch_trains_on_every_frame_once_in_an_order_of_its_own(tmp_path, batch_size):
    dataset = made(tmp_path, batch_size=batch_size, length=8)
    draw, key = drawer(dataset), jax.random.key(0)
    blocks = sum(-(-(n - 1) // 8) for n in LENGTHS["train"])
    an_epoch = -(-blocks // batch_size)
    orders = []
    for epoch in range(3):
        batches = [draw("train", epoch * an_epoch + i, key) for i in range(an_epoch)]
        scored, inside = walk("train", batches)
        assert sorted(scored) == SCORED["train"]
        assert not any(inside)  # but for the first batch, where rows may
        orders.append([batch["index_B"].tolist() for batch in batches])
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_transposed_pieces_keep_their_shift_for_an_epoch(tmp_path):
    dataset = made(tmp_path, batch_size=2, length=8, transpose=3)
    draw, key = drawer(dataset), jax.random.key(0)
    an_epoch = -(-sum(-(-(n - 1) // 8) for n in LENGTHS["train"]) // 2)
    seen = set()
    for epoch in range(20):
        shifts = {}
        for index in range(an_epoch):
            batch = draw("train", epoch * an_epoch + index, key)
            for row in np.flatnonzero(batch["weight_B"]):
                length = batch["length_B"][row]
                first = dataset.arrays["train"]["first"]
                piece = np.searchsorted(first, batch["index_B"][row], side="right") - 1
                both = [batch[name][row, :length] for name in ("inputs", "targets")]
                fits = [
                    shift
                    for shift in range(-3, 4)
                    if all(  # numbers of that piece, nothing beside them
                        frames_TF.sum() == frames_TF[:, LOWEST + shift :][:, :BITS].sum()
                        and (piece_of("train", numbers(frames_TF, LOWEST + shift)) == piece).all()
                        for frames_TF in both
                    )
                ]
                assert fits
                shifts.setdefault(piece, set(fits)).intersection_update(fits)
        assert all(shifts.values())  # one shift explains all blocks of a piece
        seen |= {min(found) for found in shifts.values() if len(found) == 1}
    assert seen == set(range(-3, 4))


def test_what_leaves_the_keyboard_is_lost(tmp_path):
    piece = np.zeros((9, 88))
    piece[:, [0, 87]] = 1
    dataset = music.make(
        music.Options(
            path=write_music(tmp_path, traindata=cells([piece])), batch_size=1, transpose=1
        )
    )
    draw, seen = drawer(dataset), set()
    for index in range(40):
        batch = draw("train", index, jax.random.key(0))
        seen.add(tuple(np.flatnonzero(batch["inputs"][0, 0]).tolist()))
    assert seen == {(0, 87), (1,), (86,)}


def test_the_splits_are_the_files(tmp_path):
    dataset = made(tmp_path)
    for split in LENGTHS:
        stored = dataset.arrays[split]
        assert np.diff(stored["begin"]).tolist() == list(LENGTHS[split])
        assert np.array_equal(stored["frames"], np.concatenate(frames(split)))


def likelihoods(dataset, model, params):
    """(nats, frames) of the test split by its batches."""
    objective = likelihood.make(likelihood.Options(), model, dataset.spec)
    draw, total = drawer(dataset), np.zeros(2)
    memory = objective.init(jax.random.key(0), draw("test", 0, None))[1]
    for index in range(dataset.num_batches["test"]):
        batch = draw("test", index, None)
        measured, memory = objective.measure({"model": params}, memory, batch, jax.random.key(0))
        total += [np.sum(part, dtype=float) for part in measured["loss"]]
    return total


@pytest.mark.slow
def test_no_number_depends_on_batches_or_blocks(tmp_path):
    spec = made(tmp_path).spec
    model = many_to_many.make(many_to_many.Options(hidden_size=6), spec)
    variables = model.init(jax.random.key(1), jnp.zeros((1, 3, 88)))
    expected = np.zeros(2)
    for piece in frames("test"):  # each piece alone, in one pass
        logits = np.asarray(model.apply(variables, jnp.asarray(piece[None, :-1]))[1][0], float)
        expected += [np.logaddexp(0, np.where(piece[1:], -logits, logits)).sum(), len(piece) - 1]
    for batch_size, length in ((1, 100), (1, 4), (4, 7), (9, 3)):
        dataset = made(tmp_path, batch_size=batch_size, length=length)
        found = likelihoods(dataset, model, variables["params"])
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert found[1] == expected[1]


def test_the_file_is_found_zipped_or_not_and_in_a_folder_of_its_name(tmp_path):
    fingerprints = set()
    for number, (inside, name, zipped) in enumerate(
        [
            (".", "JSB_Chorales.mat", False),
            (".", "jsb_chorales.mat.gz", True),
            ("jsb", "JSB_Chorales.mat.gz", True),
            ("JSB_Chorales", "JSB_Chorales.MAT", False),
        ]
    ):
        folder = tmp_path / str(number) / inside
        folder.mkdir(parents=True)
        (folder / name).write_bytes(gzip.compress(mat_bytes()) if zipped else mat_bytes())
        options = music.Options(path=str(tmp_path / str(number)), collection="jsb")
        fingerprints.add(music.make(options).fingerprint)
    assert len(fingerprints) == 1
    other = music.Options(path=write_music(tmp_path, validdata=cells([np.eye(88)])))
    assert music.make(other).fingerprint not in fingerprints


def test_the_batch_size_and_the_length_change_no_fingerprint(tmp_path):
    one, other = made(tmp_path), made(tmp_path, batch_size=3, length=5, transpose=2)
    assert one.fingerprint == other.fingerprint


def test_a_missing_file_is_named_with_its_source(tmp_path):
    sentence = "no Piano_midi.mat or Piano_midi.mat.gz in .*piano: download it from https://"
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(UsageError, match=sentence):
            music.make(music.Options(path=str(path), collection="piano"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"validdata": None}, "has no cells named validdata, so it is not a file of piano rolls"),
        ({"testdata": np.eye(88)}, "has no cells named testdata"),
        ({"traindata": cells([np.eye(88), np.eye(87)])}, "piece 2 of traindata in .* 88 columns"),
        ({"traindata": cells([np.full((5, 88), 0.5)])}, "piece 1 of traindata in .* 0 and 1"),
        ({"traindata": cells([np.eye(88) + 0j])}, "piece 1 of traindata in .* 0 and 1"),
        ({"testdata": cells([np.eye(88)[:1]])}, "no piece of testdata .* has a note to predict"),
    ],
)
def test_files_that_hold_something_else_are_named(tmp_path, changes, sentence):
    with pytest.raises(UsageError, match=f"Nottingham.mat.*{sentence}|{sentence}"):
        music.make(music.Options(path=write_music(tmp_path, **changes)))


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b"not gzip",
        lambda b: b[: len(b) // 2],
        lambda b: gzip.compress(b"text, long enough to be a header of MATLAB's" * 9),
        lambda b: gzip.compress(gzip.decompress(b)[:400]),
    ],
)
def test_damaged_files_are_named(tmp_path, damage):
    path = write_music(tmp_path, zipped=True)
    file = tmp_path / "Nottingham.mat.gz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(UsageError, match=r"Nottingham.mat.gz (can't be read|has no cells)"):
        music.make(music.Options(path=path))


def test_scipy_is_asked_for_by_its_extra(tmp_path, monkeypatch):
    path = write_music(tmp_path)
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    with pytest.raises(UsageError, match="scipy is not installed; it comes with the extra 'data'"):
        music.make(music.Options(path=path))


@real_data
def test_the_real_nottingham():
    splits = music.make(music.Options()).arrays
    assert [len(splits[s]["begin"]) - 1 for s in splits] == [694, 173, 170]
    assert [len(splits[s]["frames"]) for s in splits] == [176_561, 45_513, 44_463]
