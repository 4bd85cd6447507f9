"""Random changes of pictures, each against numpy or a property that only it has."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from seqgen import augmentation

H, W, MANY = 8, 16, 400
PICTURE = np.random.RandomState(0).uniform(0.1, 1, (H, W, 2)).astype(np.float32)


def changed(name, picture=PICTURE):
    """The picture changed by many keys, [MANY, H, W, C]."""
    x_BHWC = jnp.broadcast_to(picture, (MANY, *picture.shape))
    change = jax.jit(augmentation.augmented, static_argnums=0)
    return np.asarray(change((name,), jax.random.key(0), x_BHWC))


def test_translations_are_all_that_numpy_makes_and_no_others():
    far_H, far_W = H // 8, W // 8
    around = np.pad(PICTURE, ((far_H, far_H), (far_W, far_W), (0, 0)))
    moved = [
        around[i : i + H, j : j + W] for i in range(2 * far_H + 1) for j in range(2 * far_W + 1)
    ]
    found = {row.tobytes() for row in changed("translation")}
    assert found == {np.ascontiguousarray(row).tobytes() for row in moved}


def test_a_cutout_is_a_rectangle_of_half_of_each_side_with_its_middle_in_the_picture():
    cut_B, middles = changed("cutout"), set()
    for row in cut_B:
        gone_HW = (row == 0).all(axis=-1)
        np.testing.assert_array_equal(row[~gone_HW], PICTURE[~gone_HW])
        down, across = np.flatnonzero(gone_HW.any(axis=1)), np.flatnonzero(gone_HW.any(axis=0))
        assert gone_HW.sum() == len(down) * len(across)
        assert H // 4 <= len(down) <= H // 2 and W // 4 <= len(across) <= W // 2
        middles.add((down[0], len(down), across[0], len(across)))
    assert len(middles) > 0.9 * H * W


def test_brightness_and_contrast_move_and_stretch_all_numbers_alike():
    moved_B = changed("brightness") - PICTURE
    np.testing.assert_allclose(moved_B, moved_B[:, :1, :1, :1] + 0 * moved_B, atol=1e-6)
    assert -0.25 <= moved_B.min() < -0.2 and 0.2 < moved_B.max() <= 0.25001
    stretched_B, mean = changed("contrast"), PICTURE.mean()
    np.testing.assert_allclose(stretched_B.mean(axis=(1, 2, 3)), mean, rtol=1e-5)
    ratio_B = np.std(stretched_B, axis=(1, 2, 3)) / PICTURE.std()
    rebuilt_B = mean + ratio_B[:, None, None, None] * (PICTURE - mean)
    np.testing.assert_allclose(stretched_B, rebuilt_B, atol=1e-5)
    assert 0.5 <= ratio_B.min() < 0.55 and 1.45 < ratio_B.max() < 1.5001


@pytest.mark.parametrize("name", augmentation.CHANGES)
def test_the_slope_passes_through(name):
    """A change is straight in the picture at a fixed key: a derivative is a difference."""
    change = jax.jit(lambda x: augmentation.augmented((name,), jax.random.key(3), x[None])[0])
    picture, other = jnp.asarray(PICTURE), jnp.flip(jnp.asarray(PICTURE))
    moved = change(picture + other) - change(picture)
    made, back = jax.vjp(change, picture)
    (slope,) = back(jnp.cos(made))
    expected = float(jnp.sum(jnp.cos(made) * moved))
    assert float(jnp.sum(slope * other)) == pytest.approx(expected, rel=1e-4)


def test_every_picture_has_numbers_of_its_own_and_none_are_changed_where_nothing_is_named():
    x_BHWC = jnp.broadcast_to(PICTURE, (4, *PICTURE.shape))
    change = jax.jit(augmentation.augmented, static_argnums=0)
    made = np.asarray(change(tuple(augmentation.CHANGES), jax.random.key(1), x_BHWC))
    assert len({row.tobytes() for row in made}) == 4
    np.testing.assert_array_equal(change((), jax.random.key(1), x_BHWC), x_BHWC)
