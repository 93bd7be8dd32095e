"""Transcription models in audits: word errors, and the likelihood of the transcript."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax import nnx

from streamrnn.audio import AudioError, AudioWarning
from streamrnn.audit.telling import Floats, Told, answers_of
from streamrnn.audit.words import ratio
from streamrnn.data import Clip
from streamrnn.data.spoken import spoken_ids
from streamrnn.decisions import frames_needed, transcript, word_errors
from streamrnn.evaluation.judging import require, scan_clip
from streamrnn.losses import ctc_loss, transducer_loss
from streamrnn.models import Model, Transducer

SURE = 1e-6
# Lengths are padded to multiples of these, so that few shapes are compiled.
FRAMES, LABELS = 50, 8

_joint = nnx.jit(
    lambda model, x, labels, frames, said: transducer_loss(model.joint_logits(x, labels), labels, frames, said)
)
_ctc = nnx.jit(lambda logits, labels, frames, said: ctc_loss(logits, labels, frames, said).value)


def check_length(clip: Clip, frames: int, ids: Sequence[int]) -> None:
    """Raises AudioError if a clip is too short for its symbols."""
    if frames < frames_needed(ids):
        raise AudioError(f"{clip.path} has {frames} frames for {len(ids)} symbols. Correct its transcript or bounds")


def padded_labels(ids: Sequence[int]) -> np.ndarray:
    """int32[1, n]: symbols, and zeros up to a length that many clips share."""
    labels = np.zeros((1, -(-len(ids) // LABELS) * LABELS), np.int32)
    labels[0, : len(ids)] = ids
    return labels


def ctc_nats(log_p: np.ndarray, ids: Sequence[int]) -> float:
    """CTC's -log p of symbols, nats per symbol, from log probabilities [frames, 1 + symbols]."""
    frames = len(log_p)
    padded = np.zeros((1, -(-frames // FRAMES) * FRAMES, log_p.shape[1]), np.float32)
    padded[0, :frames] = log_p
    return float(_ctc(padded, padded_labels(ids), jnp.array([frames]), jnp.array([len(ids)])))


class TranscriptTeller:
    """Reports the word error rate, against a clip's transcript or else its label.

    The loss is -log p(spoken symbols), nats per symbol, of CTC or of the transducer. An answer is the whole transcript
    of a clip, with the confidence of its least certain utterance; it is right if no word is wrong.
    """

    figure, higher_is_better, answers = "wer", False, "recording"

    def __init__(self, model: Model, folders: Sequence[Path]):
        require(model, "word", "an audit of digits", "a transcription model")
        self.model, self.alphabet = model, model.settings.alphabet

    def tell(self, clip: Clip) -> Told | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AudioWarning)
            ids = next((ids for _, ids in spoken_ids([clip], self.alphabet)), ())
        if not ids:
            return None
        outputs = scan_clip(self.model, clip)
        events = answers_of(self.model, outputs)
        reference = self.alphabet.decode(ids)
        errors = word_errors(reference, transcript(events))
        scores = [event.score for event in events if event.kind == "endpoint"]
        sure = np.array(scores and [min(scores)], np.float64)
        return Told(
            np.array([errors.errors, errors.reference_length], np.float64),
            self._loss(clip, outputs, ids),
            sure,
            np.full(len(sure), errors.errors == 0),
        )

    def of(self, sums: Floats) -> Floats:
        return ratio(sums)

    def _loss(self, clip: Clip, outputs: np.ndarray, ids: Sequence[int]) -> float:
        frames = len(outputs)
        check_length(clip, frames, ids)
        if isinstance(self.model, Transducer):
            said, heard = jnp.array([len(ids)]), jnp.array([frames])
            x = self._samples(clip, frames)
            return float(_joint(self.model, x, padded_labels(ids), heard, said)[0]) / len(ids)
        return ctc_nats(np.log(np.clip(outputs, SURE, 1)), ids)

    def _samples(self, clip: Clip, frames: int) -> np.ndarray:
        hop = self.model.settings.hop_samples
        samples = clip.read(self.model.settings.sample_rate)
        block = hop * self.model.stride
        padded = np.zeros(-(-max(frames * block, len(samples)) // (FRAMES * block)) * FRAMES * block, np.float32)
        padded[: len(samples)] = samples
        return padded.reshape(1, -1, hop)


__all__ = ["TranscriptTeller", "check_length", "ctc_nats", "padded_labels"]
