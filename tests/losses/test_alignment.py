"""CTC against a sum over every path, and what may and may not reach it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from streamrnn.losses import ctc_loss

TIME, SYMBOLS = 5, 3

loss_and_gradient = jax.jit(jax.value_and_grad(lambda *batch: ctc_loss(*batch).value))


def loss(*batch) -> float:
    return float(loss_and_gradient(*batch)[0])


def gradient(*batch) -> np.ndarray:
    return np.asarray(loss_and_gradient(*batch)[1])


# Labels of at most 3, padded with -1, and the frames that are heard of 5.
SEQUENCES = [((1, 2), 5), ((1, 1), 4), ((), 3), ((2, 2, 1), 5), ((2,), 1), ((2, 1, 2), 3)]


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Logits, labels, frame lengths and label lengths of SEQUENCES."""
    logits = 2 * np.random.default_rng(0).standard_normal((len(SEQUENCES), TIME, SYMBOLS)).astype(np.float32)
    labels = np.int32([(*labels, -1, -1, -1)[:3] for labels, _ in SEQUENCES])
    lengths = np.int32([(frames, len(labels)) for labels, frames in SEQUENCES])
    return logits, labels, lengths[:, 0], lengths[:, 1]


def reads_as(path: tuple[int, ...], blank: int) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol != blank)


def path_loss(logits: np.ndarray, labels: tuple[int, ...], blank: int = 0) -> float:
    """-log p(labels) per label, summed over all paths, in float64."""
    logits = logits.astype(np.float64)
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    paths = itertools.product(range(logits.shape[-1]), repeat=len(logits))
    found = [log_p[np.arange(len(path)), path].sum() for path in paths if reads_as(path, blank) == labels]
    return -np.logaddexp.reduce(found) / max(len(labels), 1)


def mean_loss(logits: np.ndarray) -> float:
    sequences = zip(logits, SEQUENCES, strict=True)
    return np.mean([path_loss(x[:frames], labels) for x, (labels, frames) in sequences])


def test_the_loss_is_the_sum_over_all_paths_per_label(batch):
    assert loss(*batch) == pytest.approx(mean_loss(batch[0]), rel=1e-5)


def test_the_gradient_equals_finite_differences(batch):
    logits, *rest = batch
    direction = np.random.default_rng(1).standard_normal(logits.shape)
    ahead, behind = (mean_loss(logits + step * direction) for step in (1e-5, -1e-5))
    assert np.sum(gradient(logits, *rest) * direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


def test_blank_may_be_any_symbol(batch):
    logits, labels, *lengths = batch
    moved = np.roll(logits, -1, axis=-1), labels - 1, *lengths
    last_is_blank = jax.jit(lambda *batch: ctc_loss(*batch, blank=SYMBOLS - 1).value)
    assert last_is_blank(*moved) == pytest.approx(loss(*batch), rel=1e-6)


def test_nothing_in_the_padding_reaches_the_loss_or_its_gradient(batch):
    logits, labels, frame_lengths, label_lengths = batch
    clean = loss(*batch), gradient(*batch)
    labels[np.arange(3) >= label_lengths[:, None]] = 99
    logits[np.arange(TIME) >= frame_lengths[:, None]] = np.nan
    assert loss(*batch) == clean[0]
    np.testing.assert_array_equal(gradient(*batch), clean[1])


@pytest.mark.parametrize(
    ("labels", "frames"), [((1, 2, 1), 2), ((1, 1, 2), 3), ((), 0)], ids=["too long", "repeats", "no frames"]
)
def test_a_sequence_that_no_path_reads_as_is_left_out(batch, labels, frames):
    _, all_labels, frame_lengths, label_lengths = batch
    all_labels[0, : len(labels)], frame_lengths[0], label_lengths[0] = labels, frames, len(labels)
    others = [path_loss(x[:n], wanted) for x, (wanted, n) in zip(batch[0], SEQUENCES, strict=True)][1:]
    assert loss(*batch) == pytest.approx(np.mean(others), rel=1e-5)
    assert np.all(gradient(*batch)[0] == 0) and np.any(gradient(*batch)[1] != 0)


def test_where_no_sequence_has_a_path_the_loss_is_zero(batch):
    logits, labels, frame_lengths, label_lengths = batch
    assert loss(logits, labels, np.zeros_like(frame_lengths), label_lengths) == 0
    assert np.all(gradient(logits, labels, np.zeros_like(frame_lengths), label_lengths) == 0)


def test_very_sure_logits_keep_the_loss_right_and_the_gradient_finite(batch):
    logits, *rest = batch
    sure = np.float32(1e5) * logits
    assert loss(sure, *rest) == pytest.approx(mean_loss(sure), rel=1e-5)
    assert np.all(np.isfinite(gradient(sure, *rest)))


@pytest.mark.parametrize("which", [2, 3], ids=["frames", "labels"])
def test_lengths_beyond_the_arrays_give_nan_and_no_wrong_number(batch, which):
    batch[which][0] = 6
    assert np.isnan(loss(*batch))


def test_bfloat16_logits_are_summed_in_float32(batch):
    logits, *rest = batch
    rough = jnp.asarray(logits, jnp.bfloat16)
    assert jax.jit(ctc_loss)(rough, *rest).value == pytest.approx(loss(np.asarray(rough, np.float32), *rest), rel=1e-6)
