"""Pictures are images of the numbers they are given: darker where there is more."""

import io

import matplotlib.image
import numpy as np

from seqgen import pictures
from seqgen.metrics.intervals import Estimate


def pixels(png):
    return matplotlib.image.imread(io.BytesIO(png))[..., :3]


def alignment(weights):
    written, read = (["$a_{", "b"] * size for size in (1, 2))  # a dollar is no formula
    return pictures.Alignment(np.asarray(weights, float), written, read)


def test_attention_is_drawn_where_the_weight_is():
    ends = pixels(pictures.attention([alignment([[1, 0, 0, 0], [0, 0, 0, 1]])], "title"))
    other = pixels(pictures.attention([alignment([[0, 0, 0, 1], [1, 0, 0, 0]])], "title"))
    assert ends.shape == other.shape
    darkest = matplotlib.colormaps["Blues"](1.0)[:3]
    dark, swapped = (np.all(np.abs(p - darkest) < 0.01, axis=-1) for p in (ends, other))
    assert dark.any()
    assert dark.sum() == swapped.sum()
    assert not np.any(dark & swapped)
    rows = np.flatnonzero(dark.any(axis=1))
    first, last = (np.flatnonzero(dark[row]).mean() for row in (rows[0], rows[-1]))
    assert first < last  # the first token written looks to the left


def test_each_alignment_is_a_map_of_its_own():
    one = pixels(pictures.attention([alignment(np.eye(2, 4))], "title"))
    two = pixels(pictures.attention([alignment(np.eye(2, 4))] * 2, "title"))
    assert two.shape[0] > 1.5 * one.shape[0]


def test_a_picture_is_light_where_it_was_looked_at():
    corner = np.zeros((2, 2, 2))
    corner[0, 0, 0] = corner[1, 1, 1] = 1
    white = np.ones((4, 4, 1))
    drawn = pixels(pictures.looks([pictures.Looks(corner, ["first", "last"], white)], "title"))
    shade = np.abs(drawn - 0.2).max(axis=-1) < 0.01  # what was not looked at
    light = np.all(drawn > 0.99, axis=-1)
    third = drawn.shape[1] // 3
    plain, first, last = (slice(k * third, (k + 1) * third) for k in range(3))
    assert not shade[:, plain].any()
    for part, (row, column) in ((first, (0, 0)), (last, (1, 1))):
        rows, columns = (np.flatnonzero(shade[:, part].any(axis=k)) for k in (1, 0))
        inside = light[rows[0] : rows[-1], part][:, columns[0] : columns[-1]]
        share = [half.mean() for half in np.array_split(inside, 2, axis=0)]
        assert share.index(max(share)) == row
        share = [half.mean() for half in np.array_split(inside, 2, axis=1)]
        assert share.index(max(share)) == column


def test_confusion_is_shaded_by_shares_of_the_row():
    darkest = matplotlib.colormaps["Blues"](1.0)[:3]

    def dark(counts):
        drawn = pixels(pictures.confusion(np.asarray(counts), ["yes", "no"], "title"))
        return np.all(np.abs(drawn - darkest) < 0.01, axis=-1).mean()

    # a rare class that is always found is as dark as a common one
    assert dark([[1000, 0], [0, 2]]) > 0.05
    np.testing.assert_allclose(dark([[1000, 0], [0, 2]]), dark([[5, 0], [0, 5]]), rtol=0.1)
    assert dark([[500, 500], [1, 1]]) == 0


def test_many_classes_have_a_picture_without_numbers():
    size = pictures.NUMBERED + 200
    drawn = pixels(pictures.confusion(np.eye(size), [str(i) for i in range(size)], "title"))
    assert drawn.shape[0] < 2500


def test_a_curve_passes_through_its_estimates_and_shows_their_intervals():
    def inked(ends):
        lines = {"name": {place: Estimate(*e) for place, e in zip((1, 2, 4), ends, strict=True)}}
        drawn = pixels(pictures.curves(lines, "n", "share", "title", doubling=True))
        colour = matplotlib.colormaps["tab10"](0)[:3]
        return np.all(np.abs(drawn - colour) < 0.02, axis=-1)

    sure = inked([(0, 0, 0), (1, 1, 1), (0, 0, 0)])
    unsure = inked([(0, 0, 0), (1, 0, 1), (0, 0, 0)])
    endless = inked([(0, -np.inf, np.inf), (1, 1, 1), (0, 0, 0)])
    columns = np.flatnonzero(sure[: sure.shape[0] // 2].any(axis=0))
    upper = columns[columns < sure.shape[1] * 0.8]  # the legend is to the right
    assert sure.shape == unsure.shape == endless.shape
    np.testing.assert_array_equal(sure, endless)
    more = unsure & ~sure
    assert more.sum() > 50
    assert np.ptp(np.flatnonzero(more.any(axis=0))) < 20  # one upright line
    assert upper.min() <= np.flatnonzero(more.any(axis=0)).mean() <= upper.max()
