from .alignment import forced_alignment, frames_needed
from .alphabet import Alphabet
from .attenuation import SoundSettings
from .detection import DetectionPoint, accuracy, accuracy_per_class, detection_curve, peak_scores
from .errors import (
    ErrorRate,
    bootstrap_interval,
    character_error_rate,
    character_errors,
    token_errors,
    word_error_rate,
    word_errors,
)
from .events import Event, EventKind, Segment, segments
from .formats import as_json_line, as_text, audacity_labels, rttm, srt, write_events
from .keywords import KeywordDecoder, KeywordSettings, clip_class, smooth_posteriors, word_classes
from .labels import LabelDecoder, LabelSettings
from .metrics import best_f1, cell_truth, equal_error_rate, roc_auc, roc_auc_interval, roc_curve
from .phrases import PhraseDecoder, PhraseSettings
from .sound import si_sdr_db
from .thresholds import SpeechDecoder, SpeechSettings
from .transcripts import EndpointSettings, TokenDecoder, TranscriptDecoder, TranscriptSettings, transcript

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
