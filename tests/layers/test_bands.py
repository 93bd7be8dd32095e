"""Bands: which bins they hold, and who hears whom."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.layers.bands import AcrossBands, EachBand, EachBandRecurrent, JoinBands, SplitBands, regions
from streamrnn.layers.pointwise import Dense

REGIONS = ((2, 2), (1, 4))  # bins 0 1 | 2 3 | 4 5 6 and one beyond
BINS = 7


def touched(changed, original) -> list[int]:
    """Which numbers of a frame differ."""
    return np.flatnonzero(np.abs(np.asarray(changed - original)).max(axis=(0, 1)) > 1e-6).tolist()


def test_low_bands_are_narrow_and_all_bins_are_in_one():
    assert regions(301, (12, 6, 4)) == ((12, 8), (6, 17), (4, 26))
    assert regions(31, (3, 2, 1)) == ((3, 3), (2, 5), (1, 12))
    for bins, bands in ((301, (12, 6, 4)), (257, (16, 6, 4)), (31, (3, 2, 1))):
        parts = regions(bins, bands)
        covered = sum(count * width for count, width in parts)
        assert covered - parts[-1][1] < bins <= covered


@pytest.mark.parametrize("bands", [(8, 4), (3, 0), ()])
def test_bands_that_a_spectrum_cannot_have_are_refused(bands):
    with pytest.raises(ValueError, match="each band needs two bins"):
        regions(20, bands)


def test_a_band_is_made_of_its_bins_in_all_parts():
    split = SplitBands(REGIONS, BINS, 2, 3, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 2, 2 * BINS))
    for bin_number, band in ((0, 0), (3, 1), (6, 2)):
        for part in (0, 1):
            changed = split(x.at[..., part * BINS + bin_number].set(5.0))
            assert touched(changed, split(x)) == [3 * band, 3 * band + 1, 3 * band + 2]


def test_bins_are_made_of_their_band():
    join = JoinBands(REGIONS, BINS, 2, 3, rngs=nnx.Rngs(0))
    x = jnp.ones((1, 2, 9))
    for band, bins in ((0, [0, 1]), (1, [2, 3]), (2, [4, 5, 6])):
        changed = join(x.at[..., 3 * band].set(50.0))
        assert touched(changed, join(x)) == [*bins, *(BINS + number for number in bins)]


def test_each_band_gets_the_same_treatment():
    each = EachBand(Dense(2, 3, rngs=nnx.Rngs(0)), 2)
    bands = jax.random.normal(jax.random.key(0), (1, 4, 1, 2))
    y = each(jnp.tile(bands, (1, 1, 3, 1)).reshape(1, 4, 6)).reshape(1, 4, 3, 3)
    np.testing.assert_allclose(y[:, :, 1:], y[:, :, :1].repeat(2, axis=2), atol=1e-6)


def test_over_time_bands_hear_themselves_alone():
    layer, x = EachBandRecurrent(3, 2, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (2, 4, 6))
    run = nnx.jit(lambda layer, x: layer.scan(layer.init_state(2), x)[1])
    assert touched(run(layer, x.at[..., 2].add(1.0)), run(layer, x)) == [2, 3]
    same = run(layer, jnp.tile(x[..., :2], (1, 1, 3)))
    np.testing.assert_allclose(same[..., :2], same[..., 4:], atol=1e-6)


def test_across_bands_each_hears_all_of_its_own_frame():
    layer, x = AcrossBands(3, 2, 4, rngs=nnx.Rngs(0)), jax.random.normal(jax.random.key(0), (1, 3, 6))
    run = nnx.jit(lambda layer, x: layer(x))
    difference = np.abs(np.asarray(run(layer, x.at[:, 1, 2].add(1.0)) - run(layer, x)))[0]
    assert (difference[1] > 1e-6).all()
    assert difference[[0, 2]].max() == 0
