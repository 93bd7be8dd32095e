"""Evaluation of transcripts: word and character error rates, and the delay of words."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.audio import AudioWarning
from streamrnn.data import Clip
from streamrnn.data.recordings import counted
from streamrnn.data.spoken import spoken_ids, spoken_text
from streamrnn.data.tables import read_span, read_table, recording_of
from streamrnn.decisions import (
    Alphabet,
    Event,
    bootstrap_interval,
    character_error_rate,
    transcript,
    word_error_rate,
    word_errors,
)
from streamrnn.evaluation.judging import OnProgress, decided, judge_all, require, scan_clip, stream_clip
from streamrnn.models import Model

WORD_TABLE, WORD_COLUMNS = "words.csv", ("path", "word", "start", "end")


@dataclass(frozen=True)
class JudgedClip:
    """A clip, its transcript, and the events of streaming and offline runs of a model.

    Attributes:
        word_ends_s: end of each word, in seconds of the clip; () if unknown.
    """

    clip: Clip
    reference: str
    word_ends_s: tuple[float, ...]
    streaming: Sequence[Event]
    offline: Sequence[Event]


def evaluate_transcription(
    model: Model, folders: Sequence[Path], clips: Sequence[Clip], progress: OnProgress | None = None
) -> dict[str, Any]:
    """The clips, streaming, offline and mistakes entries of streamrnn.evaluation.evaluate.

    The reference is a clip's transcript, or its label if it has none. Clips with words other than the model's symbols
    are left out, with an AudioWarning. Figures, over all clips together:

    - wer: word error rate, with the numbers of substitutions, insertions, deletions and words.
    - wer_interval: its 95 % interval (low, high), by the bootstrap over speakers, or over clips if speakers are
      unknown.
    - cer: character error rate.
    - emission_delay_ms: from the end of a word to its word event: the median over all words of the clips without
      a mistake. It needs words.csv (path, word, start, end in samples at the recording's own rate).

    mistakes lists path, reference and heard of each clip with an error in streaming.

    Raises:
        ValueError: it is not a transcription model, or no clip has a transcript in its symbols.
        AudioError: no clip could be read.
    """
    require(model, "word", "evaluate digits", "a transcription model")
    alphabet = Alphabet(model.labels[1:])
    said = spoken_ids(clips, alphabet)
    references = {clip: alphabet.decode(ids) for clip, ids in said if ids}
    if not references:
        raise ValueError(
            f"None of {len(clips)} clips has a transcript or a label in the model's symbols "
            f"({', '.join(alphabet.symbols[:10])}). Pass such recordings, or the --model that knows these words."
        )
    _warn_of_other_words(Counter(spoken_text(clip) for clip, ids in said if not ids), len(clips))
    ends = {path: word_ends for folder in folders for path, word_ends in _word_ends(folder).items()}
    judged, left_out = judge_all(
        list(references), lambda c: _judge(model, c, references[c], ends.get(c.path, ())), progress
    )
    return {
        "clips": len(judged),
        "streaming": transcription_figures(judged, lambda clip: clip.streaming),
        "offline": transcription_figures(judged, lambda clip: clip.offline),
        "mistakes": [_mistake(clip) for clip in judged if transcript(clip.streaming) != clip.reference],
        **left_out,
    }


def _warn_of_other_words(others: Counter[str], n_clips: int) -> None:
    if others:
        warnings.warn(
            f"{others.total()} of {n_clips} clips are left out, as their words are no symbols of the model: "
            f"{counted(dict(others.most_common()))}.",
            AudioWarning,
            stacklevel=3,
        )


def _judge(model: Model, clip: Clip, reference: str, word_ends: Sequence[int]) -> JudgedClip:
    outputs, sample_rate, duration_s = stream_clip(model, clip)
    ends_s = tuple((end - clip.start) / sample_rate for end in word_ends)
    streaming, offline = (decided(model, y, duration_s) for y in (outputs, scan_clip(model, clip)))
    return JudgedClip(clip, reference, ends_s, streaming, offline)


def transcription_figures(judged: Sequence[JudgedClip], way: Callable[[JudgedClip], Sequence[Event]]) -> dict[str, Any]:
    pairs = [(clip.reference, transcript(way(clip))) for clip in judged]
    words = word_error_rate(pairs)
    interval = bootstrap_interval(*_by_speaker(judged, pairs))
    figures = {
        "wer": words.rate,
        "wer_interval": list(interval),
        "cer": character_error_rate(pairs).rate,
        "words": words.reference_length,
        "substitutions": words.substitutions,
        "insertions": words.insertions,
        "deletions": words.deletions,
    }
    delays_s = [delay_s for clip in judged for delay_s in _delays_s(clip, way(clip))]
    return figures | ({"emission_delay_ms": 1000 * float(np.median(delays_s))} if delays_s else {})


def _by_speaker(judged: Sequence[JudgedClip], pairs: Sequence[tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Errors and words of each speaker, since clips of one speaker are not independent."""
    sums: dict[str | int, list[int]] = defaultdict(lambda: [0, 0])
    for number, (clip, pair) in enumerate(zip(judged, pairs, strict=True)):
        found, of_speaker = word_errors(*pair), sums[clip.clip.speaker or number]
        of_speaker[0] += found.errors
        of_speaker[1] += found.reference_length
    return [errors for errors, _ in sums.values()], [length for _, length in sums.values()]


def _delays_s(clip: JudgedClip, events: Sequence[Event]) -> list[float]:
    words = [event for event in events if event.kind == "word"]
    # With a mistake, words cannot be matched reliably.
    if transcript(events) != clip.reference or len(words) != len(clip.word_ends_s):
        return []
    return [event.decided_s - end_s for event, end_s in zip(words, clip.word_ends_s, strict=True)]


def _mistake(clip: JudgedClip) -> dict[str, str]:
    return {"path": str(clip.clip.path), "reference": clip.reference, "heard": transcript(clip.streaming)}


def _word_ends(folder: Path) -> dict[Path, list[int]]:
    """The ends of words, in samples, by recording."""
    ends: dict[Path, list[int]] = defaultdict(list)
    if (folder / WORD_TABLE).is_file():
        for row in read_table(folder / WORD_TABLE, WORD_COLUMNS):
            ends[recording_of(folder, row)].append(read_span(row)[1])
    return dict(ends)


__all__ = ["JudgedClip", "evaluate_transcription", "transcription_figures"]
