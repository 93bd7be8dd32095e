"""From a model's outputs to decisions: events with times, their decoders, file formats and metrics."""

from streamrnn.decisions.alignment import forced_alignment, frames_needed
from streamrnn.decisions.alphabet import Alphabet
from streamrnn.decisions.attenuation import SoundSettings
from streamrnn.decisions.detection import DetectionPoint, accuracy, accuracy_per_class, detection_curve, peak_scores
from streamrnn.decisions.errors import (
    ErrorRate,
    bootstrap_interval,
    character_error_rate,
    character_errors,
    token_errors,
    word_error_rate,
    word_errors,
)
from streamrnn.decisions.events import Event, EventKind, Segment, segments
from streamrnn.decisions.formats import as_json_line, as_text, audacity_labels, rttm, srt, write_events
from streamrnn.decisions.keywords import KeywordDecoder, KeywordSettings, clip_class, smooth_posteriors, word_classes
from streamrnn.decisions.labels import LabelDecoder, LabelSettings
from streamrnn.decisions.metrics import best_f1, cell_truth, equal_error_rate, roc_auc, roc_auc_interval, roc_curve
from streamrnn.decisions.phrases import PhraseDecoder, PhraseSettings
from streamrnn.decisions.sound import si_sdr_db
from streamrnn.decisions.thresholds import SpeechDecoder, SpeechSettings
from streamrnn.decisions.transcripts import (
    EndpointSettings,
    TokenDecoder,
    TranscriptDecoder,
    TranscriptSettings,
    transcript,
)

__all__ = [
    "Alphabet",
    "DetectionPoint",
    "EndpointSettings",
    "ErrorRate",
    "Event",
    "EventKind",
    "KeywordDecoder",
    "KeywordSettings",
    "LabelDecoder",
    "LabelSettings",
    "PhraseDecoder",
    "PhraseSettings",
    "Segment",
    "SoundSettings",
    "SpeechDecoder",
    "SpeechSettings",
    "TokenDecoder",
    "TranscriptDecoder",
    "TranscriptSettings",
    "accuracy",
    "accuracy_per_class",
    "as_json_line",
    "as_text",
    "audacity_labels",
    "best_f1",
    "bootstrap_interval",
    "cell_truth",
    "character_error_rate",
    "character_errors",
    "clip_class",
    "detection_curve",
    "equal_error_rate",
    "forced_alignment",
    "frames_needed",
    "peak_scores",
    "roc_auc",
    "roc_auc_interval",
    "roc_curve",
    "rttm",
    "segments",
    "si_sdr_db",
    "smooth_posteriors",
    "srt",
    "token_errors",
    "transcript",
    "word_classes",
    "word_error_rate",
    "word_errors",
    "write_events",
]
