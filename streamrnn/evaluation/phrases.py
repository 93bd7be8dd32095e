"""Evaluation of typed phrases: drawn from transcripts, and detected where they are spoken and nowhere else."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from streamrnn.data import Clip
from streamrnn.data.spoken import spoken_text
from streamrnn.decisions import PhraseSettings
from streamrnn.decisions.phrase_calibration import HIGHEST, LOWEST, RATES
from streamrnn.decisions.phrase_grammar import typed
from streamrnn.decisions.phrase_graph import Graph, graph_of
from streamrnn.decisions.phrase_search import BLANK, Search, costs
from streamrnn.evaluation.commands import evaluate_commands
from streamrnn.evaluation.judging import OnProgress, judge_all, scan_clip, stream_clip, unfit
from streamrnn.models import Model
from streamrnn.phonetics import VOWELS, plain, words_of

# Phonemes for which phrases are drawn, how many for each, and the most words of one.
COUNTS = (4, 6, 8, 10, 12, 15, 18, 22)
PHRASES = 40
LONGEST_WORDS = 6
# A phrase raises at most one alarm in this time.
ALARM_S = 1.2
# Clips searched in parallel.
ROWS = 64
SYLLABLES = 4
# Alarms per hour and phrase at which the miss rate is reported.
TOLD = (10.0, 3.0, 1.0, 0.5)


@dataclass(frozen=True)
class Heard:
    """A model's output for a clip: log probabilities float32[frames, labels], and the transcript, "" if unknown."""

    said: str
    log_p: np.ndarray
    duration_s: float


def evaluate_phrases(
    model: Model,
    folders: Sequence[Path],
    clips: Sequence[Clip],
    progress: OnProgress | None = None,
    negatives: Sequence[Clip] = (),
) -> dict[str, Any]:
    """The clips, streaming and offline entries of streamrnn.evaluation.evaluate.

    With a grammar, its commands are judged: see evaluate_commands. Without one, phrases of COUNTS phonemes are
    drawn from the transcripts, or labels where there are none, the same ones each time, and each is judged by itself:
    as missed where it was said and is below a threshold, as a false alarm where something else was said and it is
    above. Figures: phrases, said
    (how often they were), hours (of sound without a phrase), phrase_hours (their sum over phrases), missed (of
    phrases of four syllables and more, at so many alarms per hour and phrase), by_phonemes (the same for each
    number of phonemes), and calibration, for the settings of PhraseSettings.

    Raises:
        ValueError: it is no model of phonemes, or the clips have too few transcripts to draw phrases from; every phrase
            of a length is said in every recording, so that there is no other sound; negatives beside a grammar.
        AudioError: no clip could be read.
    """
    if not isinstance(model.decision, PhraseSettings):
        raise unfit("evaluate phrases", model, "a model of phonemes")
    if model.decision.grammar:
        if negatives:
            raise ValueError("Commands are judged where they are said; false alarms of phrases take no grammar.")
        return evaluate_commands(model, folders, clips, progress)
    heard, left_out = judge_all([*clips, *negatives], lambda clip: _heard(model, clip), progress)
    drawn = draw_phrases([each.said for each, _ in heard])
    streaming, offline = (
        phrase_figures([ways[way] for ways in heard], drawn, model.labels, model.frame_s) for way in (0, 1)
    )
    return {"clips": len(heard), "streaming": streaming, "offline": offline, **left_out}


def _heard(model: Model, clip: Clip) -> tuple[Heard, Heard]:
    """Live, and offline."""
    log_p, _, duration_s = stream_clip(model, clip)
    try:
        said = plain(spoken_text(clip))
    except ValueError:
        said = ""
    return Heard(said, log_p, duration_s), Heard(said, scan_clip(model, clip), duration_s)


def draw_phrases(texts: Sequence[str], phrases: int = PHRASES) -> dict[int, list[str]]:
    """Draws phrases from texts, grouped by their number of phonemes: up to so many for each of COUNTS.

    Raises:
        ValueError: the texts have none.
    """
    candidates: dict[int, set[str]] = defaultdict(set)
    for text in set(texts):
        words = text.split()
        for begin in range(len(words)):
            for end in range(begin + 1, min(begin + LONGEST_WORDS, len(words)) + 1):
                phrase = " ".join(words[begin:end])
                try:
                    count = sum(len(word.ways[0]) for word in words_of(phrase))
                except ValueError:
                    break
                if count in COUNTS:
                    candidates[count].add(phrase)
    if not candidates:
        raise ValueError("The recordings have no transcripts of English words to draw phrases from. Pass some that do.")
    draw = random.Random(0)
    return {count: draw.sample(sorted(of), min(phrases, len(of))) for count, of in sorted(candidates.items())}


def phrase_figures(
    heard: Sequence[Heard], drawn: dict[int, list[str]], labels: Sequence[str], frame_s: float
) -> dict[str, Any]:
    """The metrics of `evaluate_phrases`, for phrases by their number of phonemes."""
    graph = graph_of([typed(phrase) for of in drawn.values() for phrase in of], None, labels)
    phrases = [sentence.text for sentence in graph.sentences]
    counts = np.array([count for count, of in drawn.items() for _ in of])
    contains = np.array([[f" {phrase} " in f" {each.said} " for phrase in phrases] for each in heard])
    hours = np.array([each.duration_s for each in heard]) / 3600
    alarms: list[list[np.ndarray]] = [[] for _ in phrases]
    found: list[list[float]] = [[] for _ in phrases]
    for clip, scores in _peaks(graph, heard, max(1, round(ALARM_S / frame_s))):
        for number, said in enumerate(contains[clip].tolist()):
            if said:
                found[number].append(float(scores[:, number].max()))
            else:
                alarms[number].append(scores[:, number])
    without = (hours[:, None] * ~contains).sum(axis=0)
    long = [sum(s in VOWELS for word in words_of(p) for s in word.ways[0]) >= SYLLABLES for p in phrases]
    of_count = {count: np.flatnonzero(counts == count) for count in drawn}
    if any(of.size and not without[of].any() for of in (*of_count.values(), np.flatnonzero(long))):
        raise ValueError(
            "There is no other sound to raise false alarms, as some phrases are said in all recordings that were "
            "judged. Pass more recordings, or other talk: --negatives FOLDER."
        )
    rows = [_row(count, of, alarms, found, without) for count, of in of_count.items()]
    return {
        "phrases": len(phrases),
        "said": sum(map(len, found)),
        "hours": float(hours.sum()),
        "phrase_hours": float(without.sum()),
        "missed": _missed(np.flatnonzero(long), alarms, found, without),
        "by_phonemes": {str(row["phonemes"]): row["missed"] for row in rows},
        "calibration": _calibration(rows),
    }


def _peaks(graph: Graph, heard: Sequence[Heard], window: int) -> Iterator[tuple[int, np.ndarray]]:
    """For each clip: (index, the highest mean log-likelihood ratio per phrase and window, [windows, phrases])."""
    order = sorted(range(len(heard)), key=lambda clip: -len(heard[clip].log_p))
    for first in range(0, len(order), ROWS):
        clips = order[first : first + ROWS]
        lengths = np.array([len(heard[clip].log_p) for clip in clips])
        longest, search = int(lengths[0]), Search.fresh(len(clips), graph)
        cost = np.zeros((len(clips), longest, heard[clips[0]].log_p.shape[1]), np.float32)
        for row, clip in enumerate(clips):
            cost[row, : lengths[row]] = costs(heard[clip].log_p)
        peaks = np.full((len(clips), -(-longest // window), len(graph.ends)), -np.inf, np.float32)
        for frame in range(longest):
            rows = int((lengths > frame).sum())
            if rows < search.streams:
                search = search.first(rows)
            search.advance(graph, cost[:rows, frame], np.full(rows, frame))
            means, _ = search.reached.means(graph.ends)
            # A spoken phrase stays the best path in silence, and counts as one alarm.
            ending = search.reached.symbol[:, graph.ends] != BLANK
            at = peaks[:rows, frame // window]
            np.maximum(at, np.where(ending, means, -np.inf), out=at)
        for row, clip in enumerate(clips):
            yield clip, peaks[row, : -(-int(lengths[row]) // window)]


def _row(
    count: int, of: np.ndarray, alarms: list[list[np.ndarray]], found: list[list[float]], without: np.ndarray
) -> dict[str, Any]:
    scores = _sorted(of, alarms)
    thresholds = [_threshold(scores, rate, float(without[of].sum())) for rate in RATES]
    return {"phonemes": count, "thresholds": thresholds, "missed": _missed(of, alarms, found, without)}


def _sorted(of: np.ndarray, alarms: list[list[np.ndarray]]) -> np.ndarray:
    return np.sort(np.concatenate([np.zeros(0), *(each for number in of for each in alarms[number])]))[::-1]


def _threshold(scores: np.ndarray, per_hour: float, hours: float) -> float:
    """The log confidence that so many alarms reach; beyond the highest, as many nats higher as for each rate before."""
    most = per_hour * hours
    if most >= 1:
        return float(scores[min(int(most), len(scores) - 1)])
    tenth = scores[min(10, len(scores) - 1)]
    return float(scores[0] + (scores[0] - tenth) * np.log10(1 / most))


def _missed(
    of: np.ndarray, alarms: list[list[np.ndarray]], found: list[list[float]], without: np.ndarray
) -> dict[str, float]:
    """The share of spoken phrases that are below the thresholds for TOLD."""
    said = np.array([score for number in of for score in found[number]])
    scores, hours = _sorted(of, alarms), float(without[of].sum())
    return {
        f"at {rate:g} alarms/h": float(np.mean(said < _threshold(scores, rate, hours))) for rate in TOLD if said.size
    }


def _calibration(rows: Sequence[dict[str, Any]]) -> list[list[float]]:
    """Rows for a `Calibration`, rounded; a threshold is at least that of a higher rate."""
    found = []
    for row in rows:
        confidences = np.clip(np.exp(row["thresholds"]), LOWEST, HIGHEST)
        found.append([row["phonemes"], *np.maximum.accumulate(confidences).round(4).tolist()])
    return found


__all__ = ["Heard", "draw_phrases", "evaluate_phrases", "phrase_figures"]
