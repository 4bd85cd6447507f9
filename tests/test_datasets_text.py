"""Text: what is read, in which order, and back again."""

import os
import pydoc_data.topics
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.datasets import text
from seqgen.errors import UsageError

WORDS = "the cat sat on the mat \n a dog ate the cat \n\n"
real_data = pytest.mark.skipif("SEQGEN_DATA" not in os.environ, reason="SEQGEN_DATA is not set")


def numbered(tmp_path, count, **options):
    """A text of `count` different characters, so that a token tells where it stands."""
    file = tmp_path / "numbered.txt"
    file.write_text("".join(chr(0x4E00 + i) for i in range(count)), encoding="utf-8")
    return text.make(text.Options(path=str(file), **options))


def drawer(dataset):
    compiled = jax.jit(dataset.batch, static_argnums=1)
    draw = lambda split, i, key: compiled(dataset.arrays, split, jnp.int32(i), key)  # noqa: E731
    return lambda *which: jax.device_get(draw(*which))


@pytest.mark.parametrize("random_offset", [True, False])
def test_training_rows_are_contiguous_text_from_batch_to_batch(tmp_path, random_offset):
    dataset = numbered(
        tmp_path,
        1000,
        batch_size=4,
        length=10,
        random_offset=random_offset,
        restart=None,
        eval_streams=5,
    )
    draw, key = drawer(dataset), jax.random.key(0)
    batches_an_epoch = 22  # 900 tokens for 4 rows of 10
    begins = set()
    for epoch in range(6):
        batches = [
            draw("train", epoch * batches_an_epoch + number, key)
            for number in range(batches_an_epoch)
        ]
        resets = [batch["reset_B"].tolist() for batch in batches]
        assert resets == [[True] * 4] + [[False] * 4] * (batches_an_epoch - 1)
        rows = np.concatenate([batch["inputs"] for batch in batches], axis=1)
        begin = int(rows[0, 0])
        assert np.array_equal(rows.ravel(), begin + np.arange(4 * 220))  # rows join up, too
        for batch in batches:
            assert np.array_equal(batch["targets"], batch["inputs"] + 1)
            assert batch["targets"].max() < 900
        indices = np.stack([batch["index_B"] for batch in batches], axis=1)
        assert np.array_equal(indices.ravel(), np.arange(4 * 22))
        begins.add(begin)
    assert len(begins) > 2 if random_offset else begins == {0}


def test_a_random_offset_reaches_every_alignment(tmp_path):
    dataset = numbered(tmp_path, 60, batch_size=2, length=5, eval_streams=2)
    draw = jax.jit(dataset.batch, static_argnums=1)
    firsts = [
        int(draw(dataset.arrays, "train", jnp.int32(4 * epoch), jax.random.key(0))["inputs"][0, 0])
        for epoch in range(200)
    ]
    assert {first % 5 for first in firsts} == set(range(5))


@pytest.mark.parametrize("streams", [1, 3, 7])
@pytest.mark.parametrize("split", ["train", "valid"])
def test_evaluation_scores_every_token_but_the_first_once(tmp_path, streams, split):
    dataset = numbered(
        tmp_path, 200, batch_size=2, length=8, shares=(0.7, 0.3, 0.0), eval_streams=streams
    )
    draw = drawer(dataset)
    batches = [draw(split, index, None) for index in range(dataset.num_batches[split])]
    scored, rows = [], [[] for _ in range(streams)]
    for batch in batches:
        counts = batch["mask_BT"] == 1
        assert ((batch["mask_BT"] == 0) | counts).all()
        assert np.array_equal(batch["targets"][counts], batch["inputs"][counts] + 1)
        assert np.array_equal(batch["weight_B"], counts.any(axis=1))
        scored += batch["targets"][counts].tolist()
        for row, tokens, count in zip(rows, batch["inputs"], counts, strict=True):
            row += tokens[count].tolist()
    first, last = {"train": (0, 140), "valid": (140, 200)}[split]
    assert sorted(scored) == list(range(first + 1, last))
    for row in rows:  # with its carry, a stream reads one contiguous piece
        assert row == list(range(row[0], row[0] + len(row)))
    assert [batch["reset_B"].all() for batch in batches] == [True] + [False] * (len(batches) - 1)


def test_the_batch_size_does_not_change_evaluation(tmp_path):
    one = numbered(tmp_path, 1000, batch_size=1, length=8)
    other = numbered(tmp_path, 1000, batch_size=16, length=8)
    assert one.num_batches == other.num_batches
    assert one.fingerprint == other.fingerprint
    first, second = drawer(one)("valid", 0, None), drawer(other)("valid", 0, None)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_share_of_the_training_rows_restarts_and_none_in_evaluation(tmp_path):
    dataset = numbered(tmp_path, 9000, batch_size=20, length=2, restart=0.1, eval_streams=4)
    draw = drawer(dataset)
    starts = np.stack([draw("train", i, jax.random.key(0))["reset_B"] for i in range(1, 101)])
    assert abs(starts.mean() - 0.1) < 4 * np.sqrt(0.09 / starts.size)
    assert starts.any(axis=0).all()  # every row, each in batches of its own
    assert not draw("train", 1, None)["reset_B"].any()


def test_without_carry_every_batch_starts_anew(tmp_path):
    dataset = numbered(tmp_path, 2000, batch_size=2, length=4, carry=False)
    draw = drawer(dataset)
    assert draw("train", 3, jax.random.key(0))["reset_B"].all()
    assert not draw("train", 1, None)["reset_B"].any()
    dataset = numbered(tmp_path, 2000, batch_size=2, length=4, restart=None, eval_carry=False)
    draw = drawer(dataset)
    assert not draw("train", 3, jax.random.key(0))["reset_B"].any()
    assert draw("train", 1, None)["reset_B"].all()


def test_the_text_in_python_is_the_default():
    dataset = text.make(text.Options())
    topics = pydoc_data.topics.topics
    expected = "\n".join(topics[name] for name in sorted(topics))
    tokens = np.concatenate([dataset.arrays[split] for split in ("train", "valid", "test")])
    assert text.decode(dataset.spec, tokens) == expected


def test_characters_round_trip(tmp_path):
    file = tmp_path / "text.txt"
    whole = "Zwölf Boxkämpfer\r\njagen Viktor\t😀\u2028quer…\n" * 30
    file.write_bytes(whole.encode())
    dataset = text.make(text.Options(path=str(file), batch_size=2, length=4, eval_streams=2))
    tokens = text.encode(dataset.spec, whole)
    assert tokens.dtype == np.int32
    assert text.decode(dataset.spec, tokens) == whole
    assert text.decode(dataset.spec, text.encode(dataset.spec, "")) == ""
    assert np.array_equal(
        tokens, np.concatenate([dataset.arrays[split] for split in ("train", "valid", "test")])
    )
    with pytest.raises(UsageError, match="character 'ß' is not among the 30 of the data"):
        text.encode(dataset.spec, "Boß, Max")
    with pytest.raises(UsageError, match=r"character '\\udce4' is not among"):
        text.encode(dataset.spec, "Box\udce4")  # a byte that is not UTF-8, as a shell hands it over


def test_characters_are_numbered_by_their_places_in_the_vocabulary():
    vocabulary = sorted("\0\n az\x7fß€\u4e00\ufffd😀\U0010ffff")
    spec = {"unit": "character", "vocabulary": vocabulary}
    whole = "".join(np.random.RandomState(0).choice(vocabulary, 500))
    assert text.encode(spec, whole).tolist() == [vocabulary.index(c) for c in whole]


def folder_of(tmp_path, layout, **files):
    for split, content in files.items():
        (tmp_path / layout.format(split)).write_text(content, encoding="utf-8")
    return str(tmp_path)


@pytest.mark.parametrize("layout", ["ptb.{}.txt", "{}.txt", "wiki.{}.tokens"])
def test_words_take_their_vocabulary_from_the_training_file(tmp_path, layout):
    path = folder_of(tmp_path, layout, train=WORDS, valid="the bird sat \n", test="a <unk> dog \n")
    dataset = text.make(
        text.Options(path=path, unit="word", batch_size=1, length=3, eval_streams=1)
    )
    spec = dataset.spec
    assert spec["vocabulary"] == [
        *["<eos>", "the", "cat"],
        *["a", "ate", "dog", "mat", "on", "sat"],
        "<unk>",
    ]
    decoded = {split: text.decode(spec, tokens) for split, tokens in dataset.arrays.items()}
    assert decoded == {
        "train": "the cat sat on the mat\na dog ate the cat\n\n",
        "valid": "the <unk> sat\n",
        "test": "a <unk> dog\n",
    }
    for content in decoded.values():
        assert text.decode(spec, text.encode(spec, content)) == content
    assert spec["start"] == "\n" and text.encode(spec, spec["start"]).tolist() == [0]


def test_words_of_one_file_know_only_the_training_part(tmp_path):
    file = tmp_path / "text.txt"
    file.write_text(" ".join(f"word{i}" for i in range(100)))
    options = text.Options(path=str(file), unit="word", batch_size=1, length=3, eval_streams=1)
    dataset = text.make(options)
    assert {split: len(tokens) for split, tokens in dataset.arrays.items()} == {
        "train": 90,
        "valid": 5,
        "test": 5,
    }
    assert text.decode(dataset.spec, dataset.arrays["valid"]) == " ".join(["<unk>"] * 5)


def test_a_folder_may_lack_a_test_file(tmp_path):
    path = folder_of(tmp_path, "{}.txt", train="abc" * 30, valid="cab" * 30)
    dataset = text.make(text.Options(path=path, batch_size=1, length=3))
    assert set(dataset.num_batches) == {"train", "valid"}


def test_the_fingerprint_follows_the_text_and_its_cut(tmp_path):
    def fingerprint(count=1000, length=8, shares=(0.9, 0.05, 0.05)):
        return numbered(tmp_path, count, length=length, shares=shares).fingerprint

    assert fingerprint(length=4) == fingerprint()
    assert fingerprint(count=1001) != fingerprint()
    assert fingerprint(shares=(0.8, 0.1, 0.1)) != fingerprint()


def test_unusable_files_are_named(tmp_path):
    file = tmp_path / "text.txt"
    make = lambda path=file: text.make(text.Options(path=str(path)))  # noqa: E731
    with pytest.raises(UsageError, match="text.txt does not exist: name a UTF-8 file, or a folder"):
        make()
    source = "https://example.org/text.txt"
    with pytest.raises(UsageError, match=f"does not exist .to be had from {source}."):
        text.make(text.Options(path=str(file), source=source))
    file.write_bytes(b"")
    with pytest.raises(UsageError, match="text.txt is empty"):
        make()
    file.write_bytes(b"abc\xff")
    with pytest.raises(UsageError, match="line 1 is not UTF-8 text: byte 3 can't be decoded"):
        make()
    with pytest.raises(UsageError, match="has no training text: .* ptb.train.txt, train.txt"):
        make(tmp_path)
    (tmp_path / "train.txt").write_text("abc")
    with pytest.raises(UsageError, match="valid.txt can't be read: No such file"):
        make(tmp_path)


def test_too_short_a_text_is_refused(tmp_path):
    with pytest.raises(
        UsageError, match="valid split of .* has 5 tokens, too few for .*streams=32"
    ):
        numbered(tmp_path, 100)
    with pytest.raises(UsageError, match="train split of .* has 900 tokens, too few for one batch"):
        numbered(tmp_path, 1000, batch_size=10, length=90)
    fits = numbered(tmp_path, 1000, batch_size=10, length=89, random_offset=False)
    drawer(fits)("train", 0, jax.random.key(0))


@real_data
def test_tinyshakespeare_is_cut_as_nanogpt_cuts_it():
    path = "$SEQGEN_DATA/tinyshakespeare/input.txt"
    dataset = text.make(text.Options(path=path, shares=(0.9, 0.1, 0.0)))
    assert {split: len(tokens) for split, tokens in dataset.arrays.items()} == {
        "train": 1_003_854,
        "valid": 111_540,
    }
    assert len(dataset.spec["vocabulary"]) == dataset.spec["inputs"]["size"] == 65
    whole = Path(os.path.expandvars(path)).read_text()
    assert text.decode(dataset.spec, dataset.arrays["train"]) == whole[:1_003_854]
