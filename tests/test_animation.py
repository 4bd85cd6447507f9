"""The film shows what was recorded, and its page needs nothing but itself."""

import base64
import io
import json
import re

import numpy as np
from PIL import Image

from seqgen import animation, frames, page

EDGES = (-2.0, 2.0, -1.0, 3.0)
REAL = np.zeros((1, 2))


def moment(step=0, fake=(0.0, 1.0), pull=(0.0, 0.0), field=0.5):
    points = [np.full((5, 2), xy, np.float32) for xy in (fake, pull)]
    field = np.broadcast_to(np.float32(field), (frames.SIDE, frames.SIDE))
    return frames.Moment(step, *points, field, 0.5, 0.25)


def drawn(*moments):
    return list(animation.draw(list(moments), REAL, EDGES))


def pixels(picture):
    return np.asarray(picture.image.convert("RGB")).astype(int)


def places(picture, colour):
    """Rows and columns of a colour, those of the key below the axes left out."""
    there = np.abs(pixels(picture) - 255 * colour).max(axis=-1) <= 1
    return np.argwhere(there[: -there.shape[0] // 8])


def test_fakes_are_drawn_where_they_are():
    left, right, high = (
        places(picture, animation.FAKE).mean(axis=0)
        for picture in drawn(moment(fake=(-1, 1)), moment(fake=(1, 1)), moment(fake=(1, 2)))
    )
    across = right - left  # two units
    np.testing.assert_allclose(across[0], 0, atol=1)
    assert across[1] > 100
    np.testing.assert_allclose(high - right, [-across[1] / 2, 0], atol=1.5)


def test_an_arrow_leads_from_a_fake_along_its_pull():
    still, right, down = (
        picture
        for picture in drawn(
            moment(fake=(1, 1)), moment(fake=(1, 1), pull=(9, 0)), moment(fake=(1, 1), pull=(0, -9))
        )
    )
    row, column = places(still, animation.FAKE).mean(axis=0)
    for picture, axis, start in ((right, 1, column), (down, 0, row)):
        changed = np.argwhere((pixels(picture) != pixels(still)).any(axis=-1))
        assert changed[:, axis].max() > start + 10  # rows count downwards
        assert changed[:, axis].min() > start - 6
        assert abs(changed[:, 1 - axis].mean() - (column, row)[axis == 1]) < 2


def test_arrows_compare_within_a_frame_and_what_is_not_finite_has_none():
    pull_A2 = np.array([[1.0, 0], [0, 2], [np.nan, 1], [0, 0], [0, 1]] * 10)
    shown_A2 = animation.arrows(pull_A2, width=10.0)
    np.testing.assert_allclose(shown_A2, animation.arrows(1e-6 * pull_A2, width=10.0))
    np.testing.assert_allclose(shown_A2[1], 2 * shown_A2[4])
    assert np.isfinite(shown_A2).all() and not shown_A2[2:4].any()
    assert not animation.arrows(0 * pull_A2, width=10.0).any()


def test_the_field_is_blue_where_points_look_real_and_keeps_its_colours_through_the_film():
    upper = np.where(np.arange(frames.SIDE)[:, None] >= frames.SIDE // 2, 0.56, 0.44)
    film = drawn(moment(field=0.5), moment(field=upper), moment(field=np.nan))
    red, blue = (255 * animation.SHADES[k] for k in (0, -1))
    colours = pixels(film[1])
    column = places(film[1], animation.FAKE)[:, 1].min() - 40
    above, below = (colours[row, column] for row in (90, 340))
    np.testing.assert_allclose(above, blue, atol=1)
    np.testing.assert_allclose(below, red, atol=1)
    assert not np.array_equal(pixels(film[0])[90, column], above)


def test_a_long_recording_is_spread_over_few_frames():
    assert animation.spread([0, 5, 10], 3) == [0, 5, 10]
    shown = animation.spread(list(range(0, 5005, 5)), 120)
    assert len(shown) == len(set(shown)) == 120
    assert (shown[0], shown[-1]) == (0, 5000)
    assert set(np.diff(shown)) == {40, 45}


def test_page_and_gif_hold_every_frame_and_the_page_loads_nothing():
    film = drawn(*(moment(step, fake=(step / 10, 1)) for step in range(0, 20, 5)))
    title = "<run>: points (generated)"
    alone = page.whole(title, [animation.player(film)])
    for word in ("http:", "https:", "<link", "import", "fetch", " src=", "url("):
        assert word not in alone
    assert "<run>" not in alone
    assert alone.count("(generated)") >= 2
    stored = json.loads(re.search(r"const film = (.*);\n", alone)[1])
    assert [one["told"].split("   ")[0] for one in stored] == [
        "step 0",
        "step 5",
        "step 10",
        "step 15",
    ]
    assert f'max="{len(stored) - 1}"' in alone
    moving = Image.open(io.BytesIO(animation.gif(film)))
    assert moving.n_frames == len(stored) == 4
    for number, one in enumerate(stored):
        shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(one["png"]))).convert("RGB"))
        np.testing.assert_array_equal(shown, pixels(film[number]))
        moving.seek(number)
        np.testing.assert_array_equal(np.asarray(moving.convert("RGB")), shown)
