"""The transducer loss against a sum over every alignment, and what may and may not reach it."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamrnn.losses import transducer_loss

BATCH, TIME, LABELS, SYMBOLS = 5, 4, 3, 4

losses = jax.jit(transducer_loss, static_argnames="blank")
gradient = jax.jit(jax.grad(lambda *batch: transducer_loss(*batch).sum()))

Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def draw(seed: int, frame_lengths: list[int], label_lengths: list[int], scale: float = 2.0) -> Batch:
    rng = np.random.default_rng(seed)
    logits = (scale * rng.standard_normal((BATCH, TIME, LABELS + 1, SYMBOLS))).astype(np.float32)
    labels = rng.integers(1, SYMBOLS, (BATCH, LABELS), np.int32)
    return logits, labels, np.int32(frame_lengths), np.int32(label_lengths)


@pytest.fixture
def batch() -> Batch:
    """All frames and labels, no labels, one frame, one frame without labels, and something between."""
    return draw(0, [4, 4, 1, 1, 3], [3, 0, 3, 0, 2])


def alignment_loss(logits: np.ndarray, labels: np.ndarray, blank: int = 0) -> float:
    """-log p(labels) summed over all alignments, in float64: which of the moves before the last blank are labels."""
    logits = logits.astype(np.float64)
    log_p = logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True)
    moves = len(logits) - 1 + len(labels)
    alignments = itertools.combinations(range(moves), len(labels))
    return -np.logaddexp.reduce([log_alignment(log_p, labels, says, moves, blank) for says in alignments])


def log_alignment(log_p: np.ndarray, labels: np.ndarray, says: tuple[int, ...], moves: int, blank: int) -> float:
    t = u = 0
    total = log_p[-1, len(labels), blank]
    for move in range(moves):
        if move in says:
            total, u = total + log_p[t, u, labels[u]], u + 1
        else:
            total, t = total + log_p[t, u, blank], t + 1
    return total


def expected(batch: Batch) -> list[float]:
    return [alignment_loss(x[:t, : u + 1], labels[:u]) for x, labels, t, u in zip(*batch, strict=True)]


@given(
    seed=st.integers(0, 1000),
    frame_lengths=st.lists(st.integers(1, TIME), min_size=BATCH, max_size=BATCH),
    label_lengths=st.lists(st.integers(0, LABELS), min_size=BATCH, max_size=BATCH),
)
def test_the_loss_is_the_sum_over_all_alignments(seed, frame_lengths, label_lengths):
    batch = draw(seed, frame_lengths, label_lengths)
    np.testing.assert_allclose(losses(*batch), expected(batch), rtol=1e-5)


def test_the_gradient_equals_finite_differences(batch):
    logits, *rest = batch
    found = gradient(*batch)
    for seed in range(3):
        direction = np.random.default_rng(seed).standard_normal(logits.shape)
        ahead, behind = (np.sum(expected((logits + step * direction, *rest))) for step in (1e-5, -1e-5))
        assert np.sum(found * direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4)


def test_blank_may_be_any_symbol(batch):
    logits, labels, *lengths = batch
    moved = losses(np.roll(logits, -1, axis=-1), labels - 1, *lengths, blank=SYMBOLS - 1)
    np.testing.assert_allclose(moved, losses(*batch), rtol=1e-6)


def test_nothing_in_the_padding_reaches_the_losses_or_their_gradient(batch):
    logits, labels, frame_lengths, label_lengths = batch
    clean = losses(*batch), gradient(*batch)
    logits[np.arange(TIME) >= frame_lengths[:, None]] = np.nan
    logits.swapaxes(1, 2)[np.arange(LABELS + 1) > label_lengths[:, None]] = np.nan
    for padding in (-1, 99):
        labels[np.arange(LABELS) >= label_lengths[:, None]] = padding
        np.testing.assert_array_equal(losses(*batch), clean[0])
        np.testing.assert_array_equal(gradient(*batch), clean[1])


def test_a_longer_batch_gives_the_same_losses(batch):
    logits, labels, *lengths = batch
    longer = np.pad(logits, ((0, 0), (0, 3), (0, 2), (0, 0))), np.pad(labels, ((0, 0), (0, 2))), *lengths
    np.testing.assert_allclose(losses(*longer), losses(*batch), rtol=1e-6)


def test_a_batch_equals_its_sequences_one_by_one(batch):
    alone = jax.jit(jax.vmap(lambda *sequence: transducer_loss(*(x[None] for x in sequence))[0]))
    np.testing.assert_allclose(alone(*batch), losses(*batch), rtol=1e-6)


def test_sequences_without_any_label_are_runs_of_blanks(batch):
    logits, _, frame_lengths, label_lengths = batch
    unlabelled = logits[:, :, :1], np.zeros((BATCH, 0), np.int32), frame_lengths, np.zeros_like(label_lengths)
    np.testing.assert_allclose(losses(*unlabelled), expected(unlabelled), rtol=1e-5)


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_very_sure_logits_keep_the_losses_right_and_the_gradient_finite(scale):
    batch = draw(1, [4, 4, 1, 1, 3], [3, 0, 3, 0, 2], scale)
    np.testing.assert_allclose(losses(*batch), expected(batch), rtol=1e-5)
    assert np.all(np.isfinite(gradient(*batch)))


def test_a_long_sequence_is_summed_as_exactly_as_in_float64():
    time, labels = 300, 40
    uniform = jnp.zeros((1, time, labels + 1, 10)), jnp.ones((1, labels), jnp.int32)
    found = losses(*uniform, jnp.int32([time]), jnp.int32([labels]))
    log_alignments = sum(np.log((time - 1 + k) / k) for k in range(1, labels + 1))
    assert found[0] == pytest.approx((time + labels) * np.log(10) - log_alignments, rel=1e-5)


def test_a_sequence_without_frames_costs_nothing_and_disturbs_no_other(batch):
    logits, _, frame_lengths, _ = batch
    clean = losses(*batch)
    frame_lengths[0] = 0
    logits[0] = np.nan
    found = losses(*batch)
    assert found[0] == 0
    np.testing.assert_array_equal(found[1:], clean[1:])
    assert np.all(gradient(*batch)[0] == 0) and np.all(np.isfinite(gradient(*batch)))


@pytest.mark.parametrize("which", [2, 3], ids=["frames", "labels"])
def test_lengths_beyond_the_arrays_give_nan_and_no_wrong_number(batch, which):
    batch[which][4] = 5
    found = losses(*batch)
    assert np.isnan(found[4]) and np.all(np.isfinite(found[:4]))


def test_bfloat16_logits_are_summed_in_float32(batch):
    logits, *rest = batch
    rough = jnp.asarray(logits, jnp.bfloat16)
    np.testing.assert_array_equal(losses(rough, *rest), losses(np.asarray(rough, np.float32), *rest))


def test_logits_at_too_few_label_positions_are_refused():
    with pytest.raises(ValueError, match=r"3 label positions for 3 labels; it needs 4.*start symbol"):
        transducer_loss(jnp.zeros((1, 4, 3, 2)), jnp.ones((1, 3), jnp.int32), jnp.int32([4]), jnp.int32([3]))
