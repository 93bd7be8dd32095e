"""From a model's outputs to decisions: events with times, their decoders, file formats and detection metrics."""

from streamrnn.decisions.events import Event, EventKind, Segment, segments
from streamrnn.decisions.formats import as_json_line, as_text, audacity_labels, srt, write_events
from streamrnn.decisions.metrics import best_f1, cell_truth, equal_error_rate, roc_auc, roc_curve
from streamrnn.decisions.thresholds import SpeechDecoder, SpeechSettings

__all__ = [
    "Event",
    "EventKind",
    "Segment",
    "SpeechDecoder",
    "SpeechSettings",
    "as_json_line",
    "as_text",
    "audacity_labels",
    "best_f1",
    "cell_truth",
    "equal_error_rate",
    "roc_auc",
    "roc_curve",
    "segments",
    "srt",
    "write_events",
]
