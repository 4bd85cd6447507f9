"""Commands and dates: the languages are what they are said to be, and no split sees another."""

import datetime
import gzip
import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen.datasets import dates, pairs, scan, vocabulary
from seqgen.errors import UsageError

MAKERS = {
    "dates": lambda: dates.make(dates.Options(train_size=300, test_size=50)),
    "simple": lambda: scan.make(scan.Options()),
    "jump": lambda: scan.make(scan.Options(split="jump")),
}


def shown(dataset, split):
    """(input, answer) texts of every stored example of a split."""
    fields, spec = dataset.arrays[split], dataset.spec
    for tokens, length, answer in zip(*(fields[n] for n in fields), strict=True):
        source = vocabulary.decode(spec["vocabulary"], tokens[:length])
        yield source, pairs.decode(spec, answer)


@pytest.mark.parametrize("name", MAKERS)
def test_splits_are_disjoint(name):
    dataset = MAKERS[name]()
    train, valid, test = ({s for s, _ in shown(dataset, k)} for k in ("train", "valid", "test"))
    assert train and valid and test
    assert not train & valid and not train & test and not valid & test


@pytest.mark.parametrize("name", MAKERS)
def test_encoding_gives_back_what_is_stored(name):
    dataset = MAKERS[name]()
    fields, data = dataset.arrays["test"], dates if name == "dates" else scan
    for place, (source, answer) in list(enumerate(shown(dataset, "test")))[:20]:
        tokens = data.encode(dataset.spec, source)
        np.testing.assert_array_equal(tokens, fields["inputs"][place, : len(tokens)])
        assert data.decode(dataset.spec, fields["targets"][place]) == answer
    assert data.encode(dataset.spec, dataset.spec["start"]).size


def test_batches_hold_what_the_contract_says():
    dataset = MAKERS["dates"]()
    batch = dataset.batch(dataset.arrays, "train", jnp.int32(3), jax.random.key(0))
    lengths, inputs = np.asarray(batch["length_B"]), np.asarray(batch["inputs"])
    past = np.arange(inputs.shape[1])[None] >= lengths[:, None]
    assert np.all(inputs[past] == 0)
    assert np.all((np.asarray(batch["targets"]) == 0).any(axis=1))  # every answer ends


def test_an_unknown_character_is_named():
    with pytest.raises(UsageError, match="'€' is not in the vocabulary"):
        dates.encode(MAKERS["dates"]().spec, "3 May 1987 €")


def test_answers_are_the_dates():
    for form in range(2 * len(dates.FORMS)):
        text = dates.written(datetime.date(1987, 5, 3), form)
        assert "87" in text
    assert dates.written(datetime.date(2012, 11, 11), 5) == "11th of November 2012"
    assert [dates.suffix(d) for d in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 31)] == (
        ["st", "nd", "rd", "th", "th", "th", "th", "st", "nd", "rd", "st"]
    )
    for source, answer in shown(MAKERS["dates"](), "test"):
        date = datetime.date.fromisoformat(answer)
        assert source in {dates.written(date, form) for form in range(2 * len(dates.FORMS))}


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        ("jump left", "I_TURN_LEFT I_JUMP"),
        ("turn around right", " ".join(["I_TURN_RIGHT"] * 4)),
        ("turn opposite left", "I_TURN_LEFT I_TURN_LEFT"),
        ("walk opposite right thrice", " ".join(["I_TURN_RIGHT I_TURN_RIGHT I_WALK"] * 3)),
        ("run around left", " ".join(["I_TURN_LEFT I_RUN"] * 4)),
        ("look after walk twice", "I_WALK I_WALK I_LOOK"),
        ("look twice and turn left", "I_LOOK I_LOOK I_TURN_LEFT"),
    ],
)
def test_commands_mean_what_the_paper_says(command, meaning):
    assert scan.actions(command) == meaning


def test_the_grammar_yields_the_published_number_of_commands():
    every = list(scan.commands())
    assert len(every) == len(set(every)) == 20_910


@pytest.mark.parametrize(
    ("split", "train", "test"),
    [
        ("simple", 16_728, 4_182),
        ("length", 16_990, 3_920),
        ("jump", 13_204, 7_706),
        ("turn_left", 19_702, 1_208),
    ],
)
def test_splits_have_the_published_sizes(split, train, test):
    parts = scan.divided(scan.Options(split=split))
    assert tuple(map(len, parts)) == (train, test)


@pytest.mark.skipif("SEQGEN_DATA" not in os.environ, reason="needs the data SEQGEN_DATA names")
def test_the_grammar_is_that_of_the_published_files():
    folder = Path(os.environ["SEQGEN_DATA"]) / "scan"
    own = dict(zip(("train", "test"), scan.divided(scan.Options(split="jump")), strict=True))
    for part, found in own.items():
        assert set(found) == set(scan.published(folder, f"tasks_{part}_addprim_jump.txt"))
    every = {(command, scan.actions(command)) for command in scan.commands()}
    both = scan.divided(scan.Options(path=str(folder)))
    assert set(both[0]) | set(both[1]) == every
    assert not set(both[0]) & set(both[1])


def test_bad_files_are_named_with_their_line(tmp_path):
    options = scan.Options(path=str(tmp_path))
    with pytest.raises(UsageError, match="no tasks_train_simple.txt.gz"):
        scan.make(options)
    file = tmp_path / "tasks_train_simple.txt"
    for bad in ("walk twice", "IN: walk OUT:  ", "IN:   OUT: I_WALK"):
        file.write_text(f"IN: walk OUT: I_WALK\n{bad}\n")
        with pytest.raises(UsageError, match="line 2 is not 'IN: command OUT: actions'"):
            scan.make(options)
    file.write_text("")
    with pytest.raises(UsageError, match="is empty"):
        scan.make(options)
    (tmp_path / "tasks_train_simple.txt.gz").write_bytes(gzip.compress(b"IN: walk OUT")[:-4])
    with pytest.raises(UsageError, match="can't be read"):
        scan.make(options)
    (tmp_path / "tasks_train_simple.txt.gz").unlink()
    for part in ("train", "test"):
        (tmp_path / f"tasks_{part}_simple.txt").write_text("IN: walk OUT: I_WALK\n")
    with pytest.raises(UsageError, match=f"valid_share=0.05 of the 1 .*s of {tmp_path} is none"):
        scan.make(options)
    with pytest.raises(UsageError, match="valid_share=1e-05 of the 16728 training .* is none"):
        scan.make(scan.Options(valid_share=0.00001))
    with pytest.raises(UsageError, match="is for the split simple"):
        scan.make(scan.Options(split="jump", path="x"))
