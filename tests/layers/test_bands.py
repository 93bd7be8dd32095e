"""Bands: how wide they are, and which bins they hold."""

import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.layers.bands import GatherBands, SpreadBands, band_weights


@pytest.mark.parametrize(("bins", "bands"), [(301, 64), (257, 32), (31, 6), (9, 9), (9, 2)])
def test_every_bin_is_shared_out_and_no_band_is_empty(bins, bands):
    weights = band_weights(bins, bands, 16_000)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    assert (weights.max(axis=0) > 0.5).all()
    assert (np.count_nonzero(weights, axis=1) <= 2).all()


def test_low_bands_are_single_bins_and_high_ones_are_wide():
    weights = band_weights(301, 64, 16_000)
    np.testing.assert_allclose(weights[:10, :10], np.eye(10), atol=1e-5)
    widths = weights.sum(axis=0)
    assert (widths[32:-1] > 1.5 * widths[16:47]).all()
    assert widths[-2] > 10


@pytest.mark.parametrize("bands", [1, 10])
def test_bands_that_a_spectrum_cannot_have_are_refused(bands):
    with pytest.raises(ValueError, match=f"9 bins can't be grouped into {bands} bands"):
        band_weights(9, bands, 16_000)


def test_what_is_gathered_and_spread_stays_where_it_was():
    gather, spread = GatherBands(2, 31, 8, 16_000), SpreadBands(2, 31, 8, 16_000)
    flat = jnp.concatenate([jnp.full((1, 2, 31), 3.0), jnp.full((1, 2, 31), -5.0)], axis=-1)
    gathered = gather(flat)
    np.testing.assert_allclose(gathered, [[[3.0] * 8 + [-5.0] * 8] * 2], atol=1e-5)
    np.testing.assert_allclose(spread(gathered), flat, atol=1e-5)


def test_a_bin_is_heard_in_its_own_bands_and_part_alone():
    weights, gather = band_weights(31, 8, 16_000), GatherBands(2, 31, 8, 16_000)
    for bin_number in (0, 12, 30):
        heard = np.flatnonzero(gather(jnp.zeros((1, 1, 62)).at[..., 31 + bin_number].set(1.0)))
        assert heard.tolist() == [8 + band for band in np.flatnonzero(weights[bin_number])]
