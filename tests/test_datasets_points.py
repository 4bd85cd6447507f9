"""Points in the plane: what is drawn against what the shapes are said to be, and files of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from sklearn.datasets import make_moons

from seqgen import config
from seqgen.datasets import points
from seqgen.errors import UsageError

SPLITS = ("train", "valid", "test")


def whole(dataset, split):
    """All examples of a split: inputs [N, 2] and targets [N]."""
    batch = jax.jit(dataset.batch, static_argnums=1)
    found = [
        jax.device_get(batch(dataset.arrays, split, jnp.int32(i), None))
        for i in range(dataset.num_batches[split])
    ]
    return tuple(
        np.concatenate([b[name][b["weight_B"] == 1] for b in found])
        for name in ("inputs", "targets")
    )


def drawn(**options):
    dataset = points.make(points.Options(**{"batch_size": 4000, "test_size": 20_000} | options))
    return dataset.spec, *whole(dataset, "test")


def written(folder, text):
    (folder / "points.csv").write_text(text)
    return str(folder / "points.csv")


def of_file(path, **options):
    return points.make(
        points.Options(**{"batch_size": 16, "shape": "file", "path": path} | options)
    )


MIXTURES = {
    "ring": ([complex(np.exp(0.25j * np.pi * k)) for k in range(8)], 0.01),
    "grid": ([complex(x, y) for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)], 0.05),
}


@pytest.mark.parametrize(("shape", "sigma"), [("ring", None), ("grid", None), ("ring", 0.2)])
def test_each_mode_of_a_mixture_has_its_mean_its_covariance_and_its_share(shape, sigma):
    spec, inputs, targets = drawn(shape=shape, sigma=sigma)
    centres, usual = MIXTURES[shape]
    sigma = usual if sigma is None else sigma
    assert spec["modes"]["sigma"] == sigma
    np.testing.assert_allclose(
        spec["modes"]["centres"], [(c.real, c.imag) for c in centres], atol=1e-9
    )
    assert len(spec["classes"]) == spec["targets"]["size"] == len(centres)
    assert stats.chisquare(np.bincount(targets, minlength=len(centres))).pvalue > 1e-3
    for mode, centre in enumerate(centres):
        own = inputs[targets == mode].astype(float)
        count = len(own)
        # five standard errors
        np.testing.assert_allclose(
            own.mean(axis=0), [centre.real, centre.imag], atol=5 * sigma / np.sqrt(count)
        )
        covariance = np.cov(own.T)
        np.testing.assert_allclose(
            covariance, sigma**2 * np.eye(2), atol=5 * sigma**2 * np.sqrt(2 / count)
        )
    every = (inputs - np.asarray(spec["modes"]["centres"])[targets]) / sigma
    assert stats.kstest(every.ravel(), "norm").pvalue > 1e-3


def test_a_rare_mode_has_its_share_and_the_others_share_the_rest():
    spec, inputs, targets = drawn(shape="ring", rare=0.02)
    expected = len(targets) * np.asarray([0.02] + [0.98 / 7] * 7)
    assert stats.chisquare(np.bincount(targets, minlength=8), expected).pvalue > 1e-3
    angle_N = np.arctan2(inputs[:, 1], inputs[:, 0]) / (np.pi / 4)
    np.testing.assert_array_equal(np.round(angle_N) % 8, targets)
    assert "modes" not in spec  # those are of equal shares


def test_moons_are_scikit_learns():
    spec, inputs, targets = drawn(shape="moons", sigma=1e-3)
    assert "modes" not in spec and spec["targets"]["size"] == 2
    curve, moon = make_moons(4000, shuffle=False, noise=None)
    for mode in (0, 1):
        own = inputs[targets == mode]
        away = np.abs(own[:, None] - curve[moon == mode][None, ::20]).max(axis=-1)
        assert away.min(axis=1).max() < 0.05  # a point of the curve every 0.03
        assert away.min(axis=0).max() < 0.05
        centre = [(0, 0), (1, 0.5)][mode]
        radius = np.hypot(*(own - centre).T)
        assert radius.std() == pytest.approx(1e-3, rel=0.05)
    angle = np.arctan2(inputs[targets == 0][:, 1], inputs[targets == 0][:, 0])
    assert stats.kstest(angle / np.pi, "uniform").pvalue > 1e-3


def test_the_spiral_winds_evenly_one_and_a_half_times():
    spec, inputs, targets = drawn(shape="spiral", sigma=1e-5)
    assert spec["targets"]["size"] == 1 and not targets.any()
    place = inputs[:, 0] + 1j * inputs[:, 1]
    unwound = place * np.exp(-1j * 3 * np.pi * np.abs(place))  # the angle is 3 pi times the radius
    assert np.quantile(np.abs(unwound - np.abs(place)), 0.99) < 1e-3
    assert stats.kstest(np.abs(place) ** 2, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("shape", ["moons", "spiral"])
def test_curves_have_noise_of_their_sigma(shape):
    calm, noisy = (drawn(shape=shape, sigma=sigma, test_size=4000)[1] for sigma in (1e-6, 0.05))
    noise = (noisy - calm) / 0.05  # of the same draws
    assert stats.kstest(noise.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(noise.T)[0, 1]) < 5 / np.sqrt(4000)


def test_evaluated_points_do_not_depend_on_the_batch_size_and_no_point_is_in_two_splits():
    make = lambda size: points.make(points.Options(size, test_size=50, train_size=60))  # noqa: E731
    for one, other in zip(whole(make(7), "test"), whole(make(64), "test"), strict=True):
        assert len(one) == 50 and np.array_equal(one, other)
    every = np.concatenate([whole(make(64), split)[0] for split in SPLITS])
    assert len(np.unique(every, axis=0)) == len(every) == 160


def rows(dataset, split):
    """The split's lines as `decode` writes them."""
    return [points.decode(dataset.spec, one) for one in whole(dataset, split)[0]]


@pytest.mark.parametrize(
    ("header", "separator"), [("", ","), ("x,y\n", ","), ("x; y\n", " ; "), ("\ufeffa\tb\n", "\t")]
)
def test_a_files_lines_come_back_each_in_one_split(tmp_path, header, separator):
    random = np.random.RandomState(1)
    lines = [
        f"{x},{y}"
        for x, y in zip(random.randint(0, 10**6, 100) / 100, 1e-3 * random.rand(100), strict=True)
    ]
    text = header + "\n".join(line.replace(",", separator) for line in lines) + "\n\n"
    dataset = of_file(written(tmp_path, text))
    back = [line for split in SPLITS for line in rows(dataset, split)]
    assert [len(rows(dataset, split)) for split in SPLITS] == [80, 10, 10]
    numbers = lambda lines: np.asarray(sorted(tuple(map(float, x.split(","))) for x in lines))  # noqa: E731
    np.testing.assert_allclose(numbers(back), numbers(lines), rtol=1e-6, atol=1e-9)


def test_a_files_points_are_standardised_by_those_to_train_on(tmp_path):
    random = np.random.RandomState(2)
    path = written(tmp_path, "".join(f"{x},{y}\n" for x, y in random.rand(500, 2)))
    dataset = of_file(path, train_size=100)
    train, held = whole(dataset, "train")[0], whole(dataset, "valid")[0]
    np.testing.assert_allclose(train.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(train.std(axis=0), 1, atol=1e-5)
    assert np.abs(held.mean(axis=0)).max() > 1e-3
    inside = np.asarray([[float(n) for n in line.split(",")] for line in rows(dataset, "train")])
    np.testing.assert_allclose(inside.mean(axis=0), dataset.spec["mean"], rtol=1e-6)
    np.testing.assert_allclose(inside.std(axis=0), dataset.spec["scale"], rtol=1e-6)


def test_a_smaller_sample_of_a_file_is_in_a_larger_one_and_leaves_the_other_splits(tmp_path):
    path = written(tmp_path, "".join(f"{i},{-i}\n" for i in range(60)))
    small, large, every = (of_file(path, train_size=n, test_size=7) for n in (5, 20, None))
    assert set(rows(small, "train")) < set(rows(large, "train")) < set(rows(every, "train"))
    assert [len(rows(d, "train")) for d in (small, large, every)] == [5, 20, 46]
    assert rows(small, "test") == rows(every, "test")
    lines = [line for split in SPLITS for line in rows(every, split)]
    assert sorted(lines) == sorted(f"{i},{-i}" for i in range(60))
    assert rows(every, "test") != [f"{i},{-i}" for i in range(7)]  # shuffled


def test_a_constant_column_is_only_moved(tmp_path):
    dataset = of_file(written(tmp_path, "".join(f"7,{i}\n" for i in range(9))))
    assert dataset.spec["mean"][0] == 7 and dataset.spec["scale"][0] == 1
    assert not whole(dataset, "train")[0][:, 0].any()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "points.csv is empty"),
        ("x,y\n", "points.csv has no rows"),
        ("1,2\n\n3\n", "points.csv line 3 has 1 field, but 2 are needed"),
        ("1,2\n3,4,5\n", "points.csv line 2 has 3 fields, but 2 are needed"),
        ("1,2\nx,y\n", "points.csv line 2 has 'x', which is not a number"),
        ("1,y\n", "points.csv line 1 has 'y', which is not a number"),
        ("x,y\n1,2\n3,\n", "points.csv line 3 has '', which is not a number"),
        ("1,2\n3,NaN\n", "points.csv line 2 has 'NaN', which is no finite number"),
        ("1,2\n-inf,1\n", "points.csv line 2 has '-inf', which is no finite number"),
        ("1,2\n1e39,1\n", "points.csv line 2 has '1e39', which is no finite number"),
        ("1,2\n3,4\n", "points.csv has 2 points, which leaves none to train on"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_sentence_with_its_line(tmp_path, text, sentence):
    with pytest.raises(UsageError, match=sentence):
        of_file(written(tmp_path, text))


def test_files_that_are_missing_or_too_small_are_named(tmp_path):
    with pytest.raises(UsageError, match="none.csv can't be read: No such file"):
        of_file(str(tmp_path / "none.csv"))
    path = written(tmp_path, "".join(f"{i},0\n" for i in range(10)))
    with pytest.raises(UsageError, match="train_size=9, but .*points.csv has 8 points to train on"):
        of_file(path, train_size=9)
    with pytest.raises(UsageError, match="has 10 points, which leaves none to train on beside 5"):
        of_file(path, test_size=5)


@pytest.mark.parametrize(
    ("mean", "scale"), [([0.0, 0.0], [1.0, 1.0]), ([1e6, -3.0], [0.37, 1e-4]), ([0.1, 0], [1e9, 7])]
)
def test_a_point_and_its_line_are_the_same(mean, scale):
    spec = {"mean": mean, "scale": scale}
    for point in np.random.RandomState(0).randn(200, 2).astype(np.float32):
        line = points.decode(spec, point)
        back = points.encode(spec, line)
        assert back.dtype == np.float32 and np.array_equal(back, point)
        assert points.decode(spec, back) == line


def test_a_line_comes_back_as_it_was_written():
    spec = points.make(points.Options()).spec
    for line in ("0.5,-1.25", "1e-05,3", "0.1,0.7", "0,-120", "0.1234567,10.25"):
        assert points.decode(spec, points.encode(spec, line)) == line
    for wrong in ("", "1", "1,2,3", "1,x", "1,nan"):
        with pytest.raises(UsageError, match="the point has"):
            points.encode(spec, wrong)


def test_a_sequence_model_of_points_is_refused_in_one_sentence():
    c = config.default(dataset="points", model="many_to_one", objective="likelihood")
    spec = points.make(config.options(c, "dataset")).spec
    with pytest.raises(UsageError, match="^model many_to_one does not fit dataset points: "):
        config.assemble(c, spec)
