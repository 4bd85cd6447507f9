"""Labelled texts: which files are read, what becomes of them, and what is wrong with bad ones."""

import csv
import gzip
import io
import json
import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.datasets import sentiment
from seqgen.errors import UsageError

real_data = pytest.mark.skipif("SEQGEN_DATA" not in os.environ, reason="SEQGEN_DATA is not set")
SST = {
    "train": "1 A stirring , funny film\n0 dull , dull\n1 a fine film\n",
    "dev": "0 a dull film\n1 stirring\n",
    "test": "1 funny and new\n0 dull , dull\n",
}
ROWS = [(f"text number {i} says {'yes' if i % 3 else 'no'}", str(i % 3)) for i in range(30)]


def made(path, **options):
    return sentiment.make(sentiment.Options(path=str(path), batch_size=4, **options))


def treebank(folder, labels="binary", **changed):
    for split, content in (SST | changed).items():
        (folder / f"stsa.{labels}.{split}").write_text(content, encoding="utf-8")
    return folder


def table(file, rows=ROWS, header=("text", "label")):
    """Writes rows in the form that the file's name asks for."""
    stream = io.StringIO(newline="")
    if ".jsonl" in file.name:
        stream.writelines(json.dumps(dict(zip(header, r, strict=True))) + "\n" for r in rows)
    else:
        separator = "\t" if ".tsv" in file.name else ","
        csv.writer(stream, delimiter=separator).writerows([header, *rows])
    content = stream.getvalue().encode()
    file.write_bytes(gzip.compress(content) if file.suffix == ".gz" else content)
    return file


def rows_of(dataset, split):
    """(text, class) of every row that evaluation passes over."""
    batch, spec, found = jax.jit(dataset.batch, static_argnums=1), dataset.spec, []
    for index in range(dataset.num_batches[split]):
        b = jax.device_get(batch(dataset.arrays, split, jnp.int32(index), None))
        for row in np.flatnonzero(b["weight_B"]):
            tokens = b["inputs"][row]
            assert not tokens[b["length_B"][row] :].any()
            text = sentiment.decode(spec, tokens[: b["length_B"][row]])
            found.append((text, spec["classes"][b["targets"][row]]))
    return found


def test_the_treebanks_files_are_read_in_order(tmp_path):
    dataset = made(treebank(tmp_path))
    assert rows_of(dataset, "train") == [
        ("a stirring , funny film", "positive"),
        ("dull , dull", "negative"),
        ("a fine film", "positive"),
    ]
    assert rows_of(dataset, "valid") == [("a dull film", "negative"), ("stirring", "positive")]
    assert rows_of(dataset, "test")[0] == ("funny <unk> <unk>", "positive")
    spec = dataset.spec
    assert (spec["unit"], spec["length"], spec["repeated"]) == ("word", 5, {"valid": 0, "test": 1})
    text = "Funny and dull , dull , a film"
    assert sentiment.decode(spec, sentiment.encode(spec, text)) == "funny <unk> dull , dull"


def test_the_treebanks_files_may_be_zipped_and_of_five_classes(tmp_path):
    plain = made(treebank(tmp_path))
    for file in list(tmp_path.iterdir()):
        file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert made(tmp_path).fingerprint == plain.fingerprint
    fine = made(treebank(tmp_path, "fine", dev="4 superb\r\n2 a film"), labels="fine")
    assert rows_of(fine, "valid")[0][1] == "very positive"
    assert rows_of(fine, "valid")[1] == ("a film", "neutral")


def test_imdbs_folders_are_read_and_validation_is_taken_from_training(tmp_path):
    for split in ("train", "test"):
        for name in ("pos", "neg"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(20):
                file = tmp_path / split / name / f"{i}_7.txt"
                file.write_text(f"{split} {name}<br /><br />review {i}", encoding="utf-8")
    dataset = made(tmp_path, shares=(0.8, 0.1, 0.1))
    rows = {split: rows_of(dataset, split) for split in ("train", "valid", "test")}
    # of 40 training rows, a ninth: the share of validation among train and valid
    assert {split: len(found) for split, found in rows.items()} == {
        "train": 36,
        "valid": 4,
        "test": 40,
    }
    names = {"pos": "positive", "neg": "negative"}
    expected = {(f"train {n} review {i}", names[n]) for n in names for i in range(20)}
    seen = {tuple(x) for split in ("train", "valid") for x in rows[split]}
    assert len(seen) == 40 and {label for _, label in seen} == set(names.values())
    known = set(dataset.spec["vocabulary"]["tokens"])
    for text, label in expected:
        words = " ".join(w if w in known else "<unk>" for w in text.split())
        assert (words, label) in seen
    assert rows["test"][0][0].startswith("<unk> neg review")


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.jsonl", "t.csv.gz", "t.jsonl.gz"])
def test_one_table_is_shuffled_and_cut(tmp_path, name):
    dataset = made(table(tmp_path / name), unit="character")
    rows = {split: rows_of(dataset, split) for split in ("train", "valid", "test")}
    assert {split: len(found) for split, found in rows.items()} == {
        "train": 24,
        "valid": 3,
        "test": 3,
    }
    assert sorted(rows["train"] + rows["valid"] + rows["test"]) == sorted(ROWS)
    assert rows["train"] != ROWS[:24]
    assert dataset.spec["classes"] == ["0", "1", "2"]
    assert set(made(tmp_path / name, shares=(0.5, 0.5, 0.0)).num_batches) == {"train", "valid"}


@pytest.mark.parametrize("valid", ["valid", "dev"])
def test_tables_beside_each_other_keep_their_rows(tmp_path, valid):
    header = ("sentence", "kind")
    parts = {"train": ROWS[:20], valid: ROWS[20:25], "test": ROWS[25:]}
    for split, rows in parts.items():
        table(tmp_path / f"{split}.tsv", rows, header)
    columns = {"text_column": "sentence", "label_column": "kind"}
    dataset = made(tmp_path, unit="character", **columns)
    found = [rows_of(dataset, split) for split in ("train", "valid", "test")]
    assert found == list(parts.values())
    (tmp_path / f"{valid}.tsv").unlink()
    dataset = made(tmp_path, unit="character", **columns)
    counts = [len(rows_of(dataset, split)) for split in ("train", "valid", "test")]
    assert counts == [18, 2, 5]


def test_quotes_and_line_breaks_belong_to_a_csv_text_and_quotes_to_a_tsv_text(tmp_path):
    rows = [('say "yes", twice\nplease', "a"), ("plain", "b")]
    dataset = made(table(tmp_path / "train.csv", rows * 10), unit="character")
    assert set(rows_of(dataset, "train")) == set(rows)
    (tmp_path / "t.tsv").write_text("text\tlabel\n" + '"half open\ta\nplain\tb\n' * 9)
    dataset = made(tmp_path / "t.tsv", unit="character")
    assert set(rows_of(dataset, "train")) == {('"half open', "a"), ("plain", "b")}


@pytest.mark.parametrize("unit", ["character", "word", "subword"])
def test_long_texts_are_cut_and_short_ones_end_where_they_end(tmp_path, unit):
    size = 300 if unit == "subword" else None
    path = table(tmp_path / "t.csv", [("one two three four", "a"), ("one", "b")] * 10)
    dataset = made(path, unit=unit, vocabulary_size=size, max_length=3)
    assert dataset.spec["length"] == 3 or unit == "subword"
    texts = {text for text, _ in rows_of(dataset, "train")}
    assert all("one two three four".startswith(text) for text in texts)
    assert max(dataset.arrays["train"]["length_B"]) <= 3
    whole = made(path, unit=unit, vocabulary_size=size)
    assert {text for text, _ in rows_of(whole, "train")} == {"one two three four", "one"}


def test_case_is_kept_where_asked(tmp_path):
    dataset = made(treebank(tmp_path), lowercase=False)
    assert rows_of(dataset, "train")[0][0] == "A stirring , funny film"
    spec = dataset.spec
    assert sentiment.decode(spec, sentiment.encode(spec, "a A Film")) == "a A <unk>"


def test_the_fingerprint_follows_the_rows(tmp_path):
    before = made(treebank(tmp_path)).fingerprint
    assert made(treebank(tmp_path)).fingerprint == before
    assert made(treebank(tmp_path, dev="1 a dull film\n1 stirring\n")).fingerprint != before
    assert made(treebank(tmp_path), min_count=2).fingerprint != before


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", b"", "t.csv is empty"),
        ("t.csv", b"text,label\n", "t.csv has no rows"),
        ("t.csv", b"text,lable\na,b\n", "unknown column in .*t.csv line 1: 'label'; did you mean"),
        ("t.csv", b"txt,label\na,b\n", "line 1: 'text'; did you mean 'txt'. have: label, txt"),
        ("t.csv", b"text,label\na,b,c\n", "t.csv line 2 has 3 fields, the header 2"),
        ("t.csv", b'text,label\na,b\n"a,b\n', "t.csv line 3 is malformed"),
        ("t.csv", b"text,label\na,x\n  ,y\n", "t.csv line 3 has an empty text"),
        ("t.csv", b"text,label\na,x\n\xff,y\n", "t.csv line 3 is not UTF-8 text"),
        ("t.csv", b"text,label\n" + b"a,x\n" * 9, "the one label 'x'"),
        ("t.csv", b"text,label\na,x\n", "leaves no rows for the split"),
        ("t.tsv", b"text\tlabel\na b\n", "t.tsv line 2 has 1 fields, the header 2"),
        ("t.jsonl", b'{"text": "a", "label": 1}\nnothing\n', "t.jsonl line 2 is not JSON"),
        ("t.jsonl", b'{"text": "a", "label": 1}\n[1]\n', "t.jsonl line 2 is no JSON object"),
        ("t.jsonl", b'{"text": "a"}\n', "column in .*t.jsonl line 1: 'label'"),
        ("t.jsonl", b'{"text": 1, "label": 1}\n', "t.jsonl line 1 has 1 as its text"),
        ("t.jsonl", b'{"text": "a", "label": [1]}\n', "and .1. as its label"),
        ("t.jsonl", b'{"text": "a", "label": true}\n', "and True as its label"),
        ("t.jsonl", b'{"text": "a", "label": 1}\n' + b"[" * 200_000, "t.jsonl line 2 is not JSON"),
        ("t.jsonl", b'{"text": "a \\ud83d z", "label": 1}\n', "line 1 has '.ud83d', one half of a"),
        ("t.jsonl", b'{"text": "a", "label": "\\udc00"}\n', "line 1 has '.udc00', one half of a"),
        ("t.csv", b"text,label\na,x\nb,  \n", "t.csv line 3 has an empty label"),
        ("t.csv.gz", b"text,label\n", "t.csv.gz can't be read"),
        ("t.txt", b"text,label\n", "t.txt is no table: those end in csv, tsv, jsonl"),
    ],
)
def test_bad_tables_are_named_with_their_line(tmp_path, name, content, sentence):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=sentence):
        made(tmp_path / name)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"train": "1 fine\n\n0 dull\n"}, "binary.train line 2 is '', not a label from 0 to 1"),
        ({"train": "1 fine\n2 dull\n"}, "train line 2 is '2 dull', not a label from 0 to 1"),
        ({"dev": "1 fine\nwithout label\n"}, "binary.dev line 2 is 'without label', not a label"),
        ({"test": "1 \n"}, "binary.test line 1 has an empty text"),
        ({"dev": ""}, "binary.dev is empty"),
    ],
)
def test_bad_lines_of_the_treebank_are_named(tmp_path, changed, sentence):
    with pytest.raises(UsageError, match=sentence):
        made(treebank(tmp_path, **changed))


def test_missing_files_are_named(tmp_path):
    with pytest.raises(
        UsageError, match="nowhere does not exist.*had from https://x/.*name a tabl"
    ):
        made(tmp_path / "nowhere", source="https://x/")
    with pytest.raises(UsageError, match="has no labelled training texts: .*stsa.fine.train"):
        made(treebank(tmp_path), labels="fine")
    (tmp_path / "stsa.binary.test").unlink()
    with pytest.raises(UsageError, match="has no stsa.binary.test"):
        made(tmp_path)
    (tmp_path / "train" / "pos").mkdir(parents=True)
    (tmp_path / "stsa.binary.train").unlink()
    with pytest.raises(UsageError, match="train/neg has no texts"):
        made(tmp_path)


def test_a_label_that_training_lacks_is_named(tmp_path):
    table(tmp_path / "train.csv", [("x", "good"), ("y", "bad")])
    table(tmp_path / "valid.csv", [("x", "god")])
    with pytest.raises(UsageError, match="label in .*valid.csv line 2: 'god'; did you mean 'good'"):
        made(tmp_path)


@real_data
@pytest.mark.parametrize(
    ("labels", "sizes"), [("binary", [6920, 872, 1821]), ("fine", [8544, 1101, 2210])]
)
def test_the_real_treebank(labels, sizes):
    dataset = sentiment.make(sentiment.Options(labels=labels, unit="character", max_length=400))
    assert [len(dataset.arrays[split]["targets"]) for split in dataset.arrays] == sizes
    assert list(dataset.arrays) == ["train", "valid", "test"]
    assert len(np.unique(dataset.arrays["train"]["targets"])) == len(dataset.spec["classes"])
    valid, place = dataset.arrays["valid"], 0 if labels == "binary" else 1
    tokens = valid["inputs"][place, : valid["length_B"][place]]
    assert sentiment.decode(dataset.spec, tokens) == "one long string of cliches ."
    assert dataset.spec["classes"][valid["targets"][place]] == "negative"
