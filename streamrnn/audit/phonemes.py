"""Phoneme models in audits: phoneme errors, and the likelihood of the transcript."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streamrnn.audio import AudioWarning
from streamrnn.audit.telling import Floats, Told
from streamrnn.audit.transcripts import check_length, ctc_nats
from streamrnn.audit.words import ratio
from streamrnn.data import Clip
from streamrnn.data.phonemes import sounded
from streamrnn.decisions import word_errors
from streamrnn.evaluation.judging import scan_clip
from streamrnn.evaluation.phonemes import likeliest, written
from streamrnn.models import Model, Phonemes


class PhonemeTeller:
    """Reports the phoneme error rate, against the dictionary's phonemes of a clip's transcript, or else of its label.

    The loss is CTC's -log p(spoken phonemes), nats per phoneme. There are no answers: a phoneme is not a decision.

    ValueError: it is not a phoneme model.
        ValueError: it is not a model of phonemes.
    """

    figure, higher_is_better, answers = "per", False, ""

    def __init__(self, model: Model, folders: Sequence[Path]):
        if not isinstance(model, Phonemes):
            raise ValueError(f"An audit of phonemes got a {type(model).__name__}. Pass a model of phonemes.")
        self.model, self.symbols = model, model.settings.symbols

    def tell(self, clip: Clip) -> Told | None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", AudioWarning)
            ids = sounded([clip]).get(clip, ())
        if not ids:
            return None
        outputs = scan_clip(self.model, clip)
        check_length(clip, len(outputs), ids)
        errors = word_errors(written(ids, self.symbols), likeliest(outputs, self.symbols))
        sums = np.array([errors.errors, errors.reference_length], np.float64)
        return Told(sums, ctc_nats(outputs, ids))

    def of(self, sums: Floats) -> Floats:
        return ratio(sums)


__all__ = ["PhonemeTeller"]
