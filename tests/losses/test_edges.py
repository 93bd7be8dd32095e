"""Losses and their gradients are numbers for silence, clipped sound, the faintest sound, and logits of any size."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses import (
    Mean,
    Resolution,
    compressed_spectrum_loss,
    ctc_loss,
    disturbance_loss,
    frame_binary_cross_entropy,
    frame_cross_entropy,
    max_pooling_loss,
    multi_resolution_stft_loss,
    si_sdr_loss,
    spotting_loss,
    transducer_loss,
)

NOISE = np.random.default_rng(0).standard_normal((2, 2000)).astype(np.float32)
SOUNDS = {"silence": 0 * NOISE, "1e-30": 1e-30 * NOISE, "noise": 0.1 * NOISE, "full scale": np.sign(NOISE)}
OF_SOUND = {
    "SI-SDR": si_sdr_loss,
    "STFT": lambda *pair: multi_resolution_stft_loss(*pair, resolutions=(Resolution(64, 16, 64),)),
    "compressed spectra": lambda *pair: compressed_spectrum_loss(*pair, resolution=Resolution(64, 16, 64)),
    "disturbance": lambda *pair: disturbance_loss(*pair, sample_rate=8000),
}

BATCH, TIME, CLASSES = 3, 300, 4
LABELS = jnp.asarray(np.random.default_rng(1).integers(1, CLASSES, (BATCH, 5)), jnp.int32)
FRAMES, SAID = jnp.int32([TIME, 7, 0]), jnp.int32([5, 2, 0])
WEIGHTS = (jnp.arange(TIME) < FRAMES[:, None]).astype(jnp.float32)
EACH = jnp.int32([0, 1, 3])
OF_LOGITS = {
    "binary": lambda z: frame_binary_cross_entropy(z[..., 0], WEIGHTS, WEIGHTS, 0.1),
    "categorical": lambda z: frame_cross_entropy(z, jnp.broadcast_to(EACH[:, None], (BATCH, TIME)), WEIGHTS, 0.1),
    "max-pooling": lambda z: max_pooling_loss(z, EACH, WEIGHTS, 3, 0.1, 0.5),
    "spotting": lambda z: spotting_loss(z, LABELS[:, :1], WEIGHTS[:, None] > 0, 1 - WEIGHTS, WEIGHTS == 0, 3, 0.1, 0.5),
    "CTC": lambda z: ctc_loss(z, LABELS, FRAMES, SAID),
    "transducer": lambda z: transducer_loss(jnp.stack([z] * 6, axis=2), LABELS, FRAMES, SAID).sum(),
}
SIZES = [0, 1e-30, 1, 100, 1e4, 1e20]


def scalar(loss):
    return loss.value if isinstance(loss, Mean) else loss


@pytest.mark.parametrize("name", OF_SOUND)
def test_a_loss_of_sound_has_gradients_whatever_is_compared(name):
    run = jax.jit(jax.value_and_grad(lambda estimate, reference: scalar(OF_SOUND[name](estimate, reference))))
    for (first, estimate), (second, reference) in itertools.product(SOUNDS.items(), repeat=2):
        value, gradient = run(estimate, reference)
        assert np.isfinite(value) and np.isfinite(gradient).all(), (first, second)


@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_loss_of_logits_has_gradients_whatever_their_size(name):
    run = jax.jit(jax.value_and_grad(lambda logits: scalar(OF_LOGITS[name](logits))))
    logits = np.random.default_rng(2).standard_normal((BATCH, TIME, CLASSES)).astype(np.float32)
    for size in SIZES:
        value, gradient = run(np.float32(size) * logits)
        assert np.isfinite(value) and np.isfinite(gradient).all(), size


NOTHING, NEVER = jnp.zeros((BATCH, 0)), jnp.zeros(BATCH, jnp.int32)
WITHOUT_FRAMES = {
    "binary": lambda z: frame_binary_cross_entropy(z[..., 0], NOTHING, NOTHING, 0.1),
    "categorical": lambda z: frame_cross_entropy(z, NOTHING.astype(jnp.int32), NOTHING, 0.1),
    "max-pooling": lambda z: max_pooling_loss(z, EACH, NOTHING, 3, 0.1, 0.5),
    "spotting": lambda z: spotting_loss(z, LABELS[:, :1], NOTHING[:, None] > 0, NOTHING, NOTHING > 0, 3, 0.1, 0.5),
    "CTC": lambda z: ctc_loss(z, LABELS, NEVER, SAID),
    "transducer": lambda z: transducer_loss(jnp.stack([z] * 6, axis=2), LABELS, NEVER, SAID).sum(),
}


@pytest.mark.parametrize("name", OF_LOGITS)
def test_a_loss_of_no_frame_is_zero(name):
    value, gradient = jax.value_and_grad(lambda z: scalar(WITHOUT_FRAMES[name](z)))(jnp.zeros((BATCH, 0, CLASSES)))
    assert value == 0 and gradient.shape == (BATCH, 0, CLASSES)


@pytest.mark.parametrize("name", ["CTC", "transducer"])
def test_lengths_beyond_no_frame_are_told_as_any_others(name):
    one = jnp.ones(BATCH, jnp.int32)
    losses = {
        "CTC": lambda z: ctc_loss(z, LABELS, one, one).value,
        "transducer": lambda z: transducer_loss(jnp.stack([z] * 6, axis=2), LABELS, one, one).sum(),
    }
    assert jnp.isnan(losses[name](jnp.zeros((BATCH, 0, CLASSES))))
