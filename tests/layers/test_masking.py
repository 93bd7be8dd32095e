"""SpecAugment: which parts of the features it hides, and when."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from streamrnn.contract import aligned
from streamrnn.layers import Chain, SpecAugment

ONES = jnp.ones((64, 40, 12))


def masked(*settings, x=ONES, seed=0) -> np.ndarray:
    """bool[batch, time, bands]: what SpecAugment(bands, *settings) hides of ones."""
    layer = SpecAugment(x.shape[-1], *settings, rngs=nnx.Rngs(seed))
    y = np.asarray(aligned(layer, x))
    assert set(np.unique(y)) <= {0.0, 1.0}
    return y == 0


def stretches(hidden: np.ndarray) -> list[int]:
    """Lengths of the runs of True in bool[n]."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(int), [0]])))
    return list(edges[1::2] - edges[::2])


def test_a_band_mask_hides_neighbouring_bands_in_all_frames():
    hidden = masked(1, 5, 0, 0)
    assert np.all(hidden == hidden[:, :1])
    runs = [stretches(row[0]) for row in hidden]
    assert all(len(run) <= 1 for run in runs)
    assert {sum(run) for run in runs} == {0, 1, 2, 3, 4, 5}


def test_a_time_mask_hides_frames_in_a_row_in_all_bands():
    hidden = masked(0, 0, 1, 4)
    assert np.all(hidden == hidden[:, :, :1])
    runs = [stretches(row[:, 0]) for row in hidden]
    assert all(len(run) <= 1 for run in runs)
    assert {sum(run) for run in runs} == {0, 1, 2, 3, 4}


def test_masks_reach_the_first_and_the_last_band_and_frame():
    hidden = masked(1, 3, 1, 3, x=jnp.ones((256, 8, 6)))
    assert all(hidden[:, t, b].any() for t in (0, 7) for b in (0, 5))


def test_every_row_and_every_call_has_its_own_masks():
    layer = SpecAugment(12, 2, 4, 2, 10, rngs=nnx.Rngs(0))
    first, second = (np.asarray(aligned(layer, ONES)) for _ in range(2))
    assert len({row.tobytes() for row in first}) > 60
    assert np.any(first != second)
    np.testing.assert_array_equal(first == 0, masked(2, 4, 2, 10))


def test_more_masks_hide_more():
    assert masked(0, 0, 4, 5).mean() > 2 * masked(0, 0, 1, 5).mean()


def test_recordings_shorter_than_a_mask_are_masked_as_far_as_they_go():
    hidden = masked(0, 0, 1, 50, x=jnp.ones((64, 3, 2)))
    assert {int(row[:, 0].sum()) for row in hidden} == {0, 1, 2, 3}


def test_eval_mode_leaves_everything_and_train_mode_masks_again():
    layer = Chain(SpecAugment(12, 2, 4, 2, 10, rngs=nnx.Rngs(0)))
    layer.eval()
    np.testing.assert_array_equal(aligned(layer, ONES), ONES)
    layer.train()
    assert np.any(np.asarray(aligned(layer, ONES)) == 0)


def test_what_is_hidden_has_no_gradient():
    layer = SpecAugment(12, 0, 0, 3, 10, rngs=nnx.Rngs(0))
    graph, state = nnx.split(layer)
    gradient = jax.grad(lambda x: aligned(nnx.merge(graph, state, copy=True), x).sum())(ONES)
    np.testing.assert_array_equal(np.asarray(gradient) == 0, masked(0, 0, 3, 10))


@pytest.mark.parametrize("settings", [(1, 13, 0, 0), (-1, 2, 0, 0), (0, 0, 1, -2)])
def test_masks_that_cannot_be_are_refused(settings):
    with pytest.raises(ValueError, match=r"no number may be negative, and band_width must be at most 12\."):
        SpecAugment(12, *settings, rngs=nnx.Rngs(0))


def test_frames_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"got frames of 12 bands; it was built for 8\."):
        aligned(SpecAugment(8, 1, 2, 1, 2, rngs=nnx.Rngs(0)), ONES)
