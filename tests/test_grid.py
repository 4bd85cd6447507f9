"""A grid is the product of its fields, each typed as its config types it."""

import pytest

from seqgen import config as configs
from seqgen import grid
from seqgen.errors import UsageError


@pytest.fixture
def adding():
    return configs.default(dataset="adding", model="many_to_one", objective="likelihood")


def chosen(text, config):
    return [tuple(point.chosen.values()) for point in grid.points(text, config)]


def test_every_combination_once_the_last_field_fastest(adding):
    found = chosen("model.cell=rnn, lstm; seed=0..2", adding)
    assert found == [(c, s) for c in ("rnn", "lstm") for s in (0, 1, 2)]
    assert chosen(" model.cell = rnn,lstm ;seed=0..2; ", adding) == found


def test_values_have_the_types_of_their_fields(adding):
    text = (
        "optimizer.learning_rate=1e-3,3; model.chrono_max=None,20; model.normalize=True;"
        "dataset.length=-3..-2; model.activation=relu"
    )
    points = grid.points(text, adding)
    rates = {p.config.optimizer.learning_rate for p in points}
    assert rates == {1e-3, 3.0}
    assert all(isinstance(rate, float) for rate in rates)
    assert {p.config.model.chrono_max for p in points} == {None, 20}
    assert {p.config.dataset.length for p in points} == {-3, -2}  # in range or not, is not asked
    assert all(p.config.model.normalize is True for p in points)
    assert adding.model.chrono_max is None  # the config itself stays


def test_a_tuples_commas_are_its_own():
    vae = configs.default(dataset="digits", model="vae", objective="elbo")
    found = chosen("model.encoder_sizes=(3,),(4, 5)", vae)
    assert found == [((3,),), ((4, 5),)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("model.cel=rnn", "did you mean 'model.cell'?"),
        ("model.name=many_to_many", "can't be overridden"),
        ("model.cell", "FIELD=VALUE"),
        ("=3", "FIELD=VALUE"),
        ("seed=", "FIELD=VALUE"),
        (" ; ", "empty"),
        ("seed=1,,2", "empty value"),
        ("seed=1; seed=2", "seed twice"),
        ("seed=0..3,2", "seed=2 twice"),
        ("seed=5..3", "the first is above the last"),
        ("seed=0..99999", "more than"),
        ("seed=0..999; dataset.length=1..999", "points"),
        ("seed=many", "config.seed=many"),
        ("seed=None", "can't be None"),
    ],
)
def test_a_slip_is_one_sentence(text, sentence, adding):
    with pytest.raises(UsageError) as caught:
        grid.points(text, adding)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)
